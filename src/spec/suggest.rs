//! "Did you mean": the nearest of the names that are known.

/// Longer names are not compared: nobody mistypes one of them, and comparing takes time in the square of the length.
const MAX_BYTES: usize = 64;

/// The known name nearest to `name`, where one is near enough to be meant.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > MAX_BYTES {
        return None;
    }
    // One slip in three characters, at least one.
    let most = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|k| k.len() <= MAX_BYTES && k.len().abs_diff(name.len()) <= 4 * most)
        .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= most && *distance < k.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// "did you mean `x`? " where there is something to suggest; goes before what else there is to say.
pub(crate) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

/// Names as a sentence lists them: "a, b and c".
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(nearest("subnet", ["backend", "subnets"]), Some("subnets"));
        assert_eq!(nearest("brO", ["br0", "br1"]), Some("br0"));
        assert_eq!(nearest("Name", ["name"]), Some("name"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("container", ["gateway", "routes"]), None);
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
