//! A Markdown document whose blocks are run: what is typed in it, what it says is printed, and the files that it shows.
//!
//! - A block of `console` is what a terminal shows. A line that begins with `# ` is typed to root's shell; lines that begin with
//!   `/ # ` are typed to what the line above has started, a shell in a container. All other lines are what that prints.
//! - `…` stands for whatever differs from machine to machine: in a line for some characters, alone in its line for any lines.
//! - A block of anything else is a file: its first line is a comment with its name.
//! - Where the paragraph above a block has [`NOT_RUN`] in it, the block is not run.

/// What a reader is told of a block that is only shown.
pub(crate) const NOT_RUN: &str = "*Not run by the test of this page";

const FENCE: &str = "```";
const PROMPT: &str = "# ";
const INNER_PROMPT: &str = "/ # ";
const ANYTHING: &str = "…";

/// A block of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// What is typed, and what is printed then.
    Session(Vec<Typed>),
    /// The same, but not to be run.
    Shown(Vec<Typed>),
    /// A file to be written.
    File { name: String, text: String },
}

/// A line that is typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// Where it is in the document.
    pub(crate) line: usize,
    pub(crate) command: String,
    /// What is typed to the command itself.
    pub(crate) input: Vec<String>,
    pub(crate) prints: Vec<String>,
}

/// All blocks of a document, in their order.
///
/// # Panics
/// Where something in a block is neither typed nor printed, or a file has no name.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut all = Vec::new();
    let mut paragraph = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix(FENCE) else {
            // An empty line parts a block from the paragraph above it, and that one from those before.
            if !line.is_empty() && paragraph.ends_with("\n\n") {
                paragraph.clear();
            }
            paragraph.push_str(line);
            paragraph.push('\n');
            continue;
        };
        let body: Vec<(usize, &str)> =
            lines.by_ref().take_while(|(_, line)| *line != FENCE).map(|(number, line)| (number + 1, line)).collect();
        all.push(match language {
            "console" if paragraph.contains(NOT_RUN) => Block::Shown(session(&body)),
            "console" => Block::Session(session(&body)),
            _ => file(number + 1, &body),
        });
        paragraph.clear();
    }
    all
}

fn session(body: &[(usize, &str)]) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    for (line, text) in body {
        if let Some(command) = text.strip_prefix(PROMPT) {
            all.push(Typed { line: *line, command: command.to_owned(), input: Vec::new(), prints: Vec::new() });
            continue;
        }
        let last =
            all.last_mut().unwrap_or_else(|| panic!("line {line}: `{text}` is printed before anything is typed"));
        match text.strip_prefix(INNER_PROMPT) {
            Some(input) => last.input.push(input.to_owned()),
            None => last.prints.push((*text).to_owned()),
        }
    }
    assert!(!all.is_empty(), "a block in which nothing is typed");
    all
}

fn file(line: usize, body: &[(usize, &str)]) -> Block {
    let name = body.first().and_then(|(_, first)| first.strip_prefix("# "));
    let name = name.unwrap_or_else(|| panic!("line {line}: a block that is neither a console nor a file with a name"));
    assert!(!name.contains(['/', ' ', '\'']), "line {line}: `{name}` is no name of a file");
    let text = body.iter().flat_map(|(_, line)| [line, "\n"]).collect();
    Block::File { name: name.to_owned(), text }
}

/// Whether this is what the document says. How many blanks there are is not compared.
pub(crate) fn is_as_said(said: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = said.split_first() else { return printed.is_empty() };
    if first.trim() == ANYTHING {
        return (0..=printed.len()).any(|skipped| is_as_said(rest, &printed[skipped..]));
    }
    printed.split_first().is_some_and(|(line, others)| is_line(first, line) && is_as_said(rest, others))
}

fn is_line(said: &str, printed: &str) -> bool {
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    // At the end of a line, it may be nothing.
    if said.strip_suffix(ANYTHING).is_some_and(|said| said.trim_end() == printed) {
        return true;
    }
    let mut parts = said.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut left) = printed.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return left.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_document_is_what_is_typed_and_what_is_printed() {
        let text = "words\n\n```console\n# one\nfirst\n\n# two\n/ # inner\nsecond\n```\n\n```yaml\n# a.yaml\nname: a\n```\n\n\
            *Not run by the test of this page.*\n\n```console\n# three\n```\n\n```console\n# four\n```\n";
        let typed = |line, command: &str, input: &[&str], prints: &[&str]| Typed {
            line,
            command: command.to_owned(),
            input: owned(input),
            prints: owned(prints),
        };
        let expected = [
            Block::Session(vec![typed(4, "one", &[], &["first", ""]), typed(7, "two", &["inner"], &["second"])]),
            Block::File { name: "a.yaml".to_owned(), text: "# a.yaml\nname: a\n".to_owned() },
            Block::Shown(vec![typed(20, "three", &[], &[])]),
            Block::Session(vec![typed(24, "four", &[], &[])]),
        ];
        assert_eq!(blocks(text), expected);
    }

    #[test]
    #[should_panic(expected = "neither a console nor a file with a name")]
    fn a_block_of_another_sort_is_refused() {
        blocks("```sh\nip link\n```\n");
    }

    #[test]
    fn what_differs_may_be_anything_and_the_rest_may_not() {
        for (said, printed, is_same) in [
            (&["a"][..], &["a"][..], true),
            (&["a"], &["b"], false),
            (&["a"], &["a", "b"], false),
            (&["a", "b"], &["a"], false),
            (&[], &["a"], false),
            (&["a   b "], &["a b"], true),
            (&["ab"], &["a b"], false),
            (&["(… ms)"], &["(12 ms)"], true),
            (&["(… ms)"], &["(12 s)"], false),
            (&["(… ms) at … end"], &["(12 ms) at the very end"], true),
            (&["none …"], &["none"], true),
            (&["none …"], &["nonsense"], false),
            (&["…"], &[], true),
            (&["a", "…", "c"], &["a", "b", "b", "c"], true),
            (&["a", "…", "c"], &["a", "b", "b"], false),
            (&["…", "b", "…", "b"], &["b", "x", "b"], true),
            (&["…", "c", "…", "b"], &["b", "x", "c"], false),
        ] {
            assert_eq!(is_as_said(&owned(said), &owned(printed)), is_same, "{said:?} {printed:?}");
        }
    }
}
