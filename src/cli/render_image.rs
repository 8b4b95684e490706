//! Images, as text and as JSON.

use super::args::Global;
use super::render::{Paint, Stream, json, line, text};
use crate::image::{Damage, ImageConfig, ImageRecord, Images, Imported, LeftOut, Pruned, Usage};
use crate::model::Shown;
use std::fmt::Write as _;

/// What an import has made.
pub(super) fn imported(global: &Global, imported: &Imported) {
    let Imported { image, has_replaced } = imported;
    if !global.quiet {
        if let Some(left_out) = left_out(&image.left_out) {
            line(Stream::Error, &format!("nslab: {left_out}"));
        }
        if *has_replaced {
            line(Stream::Error, &format!("nslab: it takes the place of the image that was called {}", image.name));
        }
    }
    if global.json {
        return json(image);
    }
    line(Stream::Out, image.name.as_str());
}

fn left_out(left_out: &LeftOut) -> Option<String> {
    let LeftOut { count, first } = left_out;
    let names: Vec<String> = first.iter().map(|path| Shown(path.display()).to_string()).collect();
    let more = count.saturating_sub(names.len() as u64);
    let names = names.join(", ");
    match (count, more) {
        (0, _) => None,
        (_, 0) => Some(format!("left out, being devices, sockets or the like: {names}")),
        _ => Some(format!("left out, being devices, sockets or the like: {names}, and {more} more")),
    }
}

/// All of them.
pub(super) fn list(global: &Global, images: &Images) {
    let Images { all: images, damaged: unread } = images;
    damaged(unread, false);
    if global.json {
        return json(&images);
    }
    if images.is_empty() && !unread.is_empty() {
        return;
    }
    if images.is_empty() {
        return line(Stream::Error, "no images: `nslab image import` makes one");
    }
    let paint = Paint::new();
    let width = images.iter().map(|image| image.name.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for image in images {
        let name = paint.strong(&format!("{:width$}", image.name));
        let _ = writeln!(out, "{name}  {:>9}  {:>10}  {}", size(image.bytes()), layers(image), Shown(&image.source));
    }
    text(&out);
}

fn layers(image: &ImageRecord) -> String {
    match image.layers.len() {
        1 => "1 layer".to_owned(),
        count => format!("{count} layers"),
    }
}

/// One.
pub(super) fn show(global: &Global, image: &ImageRecord) {
    if global.json {
        return json(image);
    }
    let ImageRecord { name, source, imported_at_unix_s, layers, config, left_out: what } = image;
    let paint = Paint::new();
    let mut out = String::new();
    let _ =
        writeln!(out, "{} of {}, imported {}", paint.strong(name.as_str()), Shown(source), time(*imported_at_unix_s));
    for layer in layers {
        let _ = writeln!(out, "  {}  {}, {} files", layer.digest, size(layer.bytes), layer.files);
    }
    let ImageConfig { entrypoint, command, environment, working_directory, user } = config;
    for (what, words) in [("entry point", entrypoint), ("command", command)] {
        if !words.is_empty() {
            let _ = writeln!(out, "  {what}: {}", Shown(words.join(" ")));
        }
    }
    for (name, value) in environment {
        let _ = writeln!(out, "  {}={}", Shown(name), Shown(value));
    }
    for (what, value) in [("directory", working_directory), ("user", user)] {
        if let Some(value) = value {
            let _ = writeln!(out, "  {what}: {}", Shown(value));
        }
    }
    if let Some(what) = left_out(what) {
        let _ = writeln!(out, "  {what}");
    }
    text(&out);
}

/// What can't be read of a store. What needs which layers is not known then, so that all stay where some were `to_go`.
pub(super) fn damaged(damaged: &[Damage], to_go: bool) {
    for damage in damaged {
        line(Stream::Error, &format!("nslab: {damage}"));
    }
    if to_go && !damaged.is_empty() {
        line(Stream::Error, "nslab: no layer was removed: nobody knows which ones are needed by what can't be read");
    }
}

/// What `prune` has removed.
pub(super) fn pruned(global: &Global, pruned: &Pruned) {
    damaged(&pruned.damaged, true);
    if global.json {
        return json(pruned);
    }
    let Pruned { layers, damaged: _, swept } = pruned;
    for why in &swept.failed {
        line(Stream::Error, &format!("nslab: {why}"));
    }
    let mut out = String::new();
    for what in layers.iter().map(ToString::to_string).chain(swept.words()) {
        let _ = writeln!(out, "removed {what}");
    }
    if out.is_empty() && !swept.failed.is_empty() {
        return;
    }
    if out.is_empty() {
        return line(Stream::Error, "nothing to remove");
    }
    text(&out);
}

/// What takes how much.
pub(super) fn usage(global: &Global, usage: &Usage) {
    damaged(&usage.damaged, false);
    if global.json {
        return json(usage);
    }
    let Usage { images, unused_bytes, unfinished_bytes, containers_bytes, all_bytes, damaged: _ } = usage;
    let width = images.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, of) in images {
        let _ = writeln!(out, "{name:width$}  {:>9}, {:>9} of its own", size(of.bytes), size(of.own_bytes));
    }
    for (what, bytes) in [
        ("layers of no image", *unused_bytes),
        ("imports under way", *unfinished_bytes),
        ("containers", *containers_bytes),
    ] {
        if bytes > 0 {
            let _ = writeln!(out, "{what}: {}", size(bytes));
        }
    }
    let _ = writeln!(out, "all: {}", size(*all_bytes));
    text(&out);
}

/// A number of bytes as people read it.
fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn time(unix_s: u64) -> String {
    let stamp = i64::try_from(unix_s).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    stamp.map_or_else(|| unix_s.to_string(), |stamp| stamp.strftime("%F %T UTC").to_string())
}
