//! Archives of GNU tar's, in its formats, and broken ones.

use super::*;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// What an archive has, as text, with a sum of each file's data.
fn listed(bytes: &[u8]) -> Result<Vec<String>, ImageError> {
    let mut archive = Archive::new(bytes, "it");
    let mut all = Vec::new();
    while let Some(entry) = archive.next()? {
        let mut data = Vec::new();
        archive.data().read_to_end(&mut data).map_err(|error| ImageError::of_stream(error, "it"))?;
        let sum: u64 = data.iter().map(|byte| u64::from(*byte)).sum();
        all.push(match entry.kind {
            Kind::File { bytes, parts } => {
                let parts = parts.iter().filter(|part| part.bytes > 0).count();
                format!("{} file {bytes} {parts} {sum}", entry.path.display())
            }
            kind => format!("{} {kind:?}", entry.path.display()),
        });
    }
    archive.finish()?;
    Ok(all)
}

fn tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").current_dir(directory).arg("-c").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A directory with a file of each sort, one of them sparse with many parts.
fn sample() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    std::fs::create_dir(at("d")).unwrap();
    std::fs::write(at("d/file"), [3; 1000]).unwrap();
    std::fs::hard_link(at("d/file"), at("d/other")).unwrap();
    std::os::unix::fs::symlink("../../../etc/passwd", at("d/link")).unwrap();
    std::fs::create_dir(at(&format!("d/{}", "n".repeat(200)))).unwrap();
    std::fs::write(at(&format!("d/{}/{}", "n".repeat(200), "m".repeat(150))), [1; 5]).unwrap();
    let sparse = std::fs::File::create(at("d/sparse")).unwrap();
    for part in 0..60 {
        sparse.write_all_at(&[1; 4096], part << 20).unwrap();
    }
    sparse.set_len(100 << 20).unwrap();
    scratch
}

#[test]
fn what_gnu_tar_writes_is_read_in_all_its_formats() {
    let scratch = sample();
    let long = format!("d/{}/{}", "n".repeat(200), "m".repeat(150));
    let formats: [&[&str]; 6] = [
        &["--format=gnu"],
        &["--format=pax"],
        &["--format=gnu", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ];
    for format in formats {
        let archive = tar(scratch.path(), &[format, &["--sort=name", "d"]].concat());
        let is_sparse = format.contains(&"--sparse");
        let parts = if is_sparse { 60 } else { 1 };
        let expected = [
            "d/ Directory".to_owned(),
            "d/file file 1000 1 3000".to_owned(),
            "d/link SymbolicLink(\"../../../etc/passwd\")".to_owned(),
            format!("d/{}/ Directory", "n".repeat(200)),
            format!("{long} file 5 1 5"),
            "d/other HardLink(\"d/file\")".to_owned(),
            format!("d/sparse file {} {parts} {}", 100 << 20, 60 * 4096),
        ];
        assert_eq!(listed(&archive).unwrap(), expected, "{format:?}");
        assert_eq!(archive.len() < 1 << 20, is_sparse, "{format:?}");
    }
}

#[test]
fn the_size_that_an_extension_says_is_that_of_the_data() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("size", &b"5"[..]), ("path", b"long")]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    header.set_path("short").unwrap();
    header.set_cksum();
    let mut archive = builder.into_inner().unwrap();
    archive.truncate(archive.len() - 1024);
    archive.extend(header.as_bytes());
    archive.extend([[1; 5].as_slice(), &[0; 507], &[0; 1024]].concat());
    assert_eq!(listed(&archive).unwrap(), ["long file 5 1 5"]);
}

#[test]
fn an_archive_that_is_cut_off_is_refused_wherever_that_is() {
    let scratch = sample();
    let whole = tar(scratch.path(), &["--format=pax", "--sparse", "--sort=name", "d"]);
    listed(&whole).unwrap();
    let last = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let ends = (0..last).step_by(509).chain((512..last).step_by(512));
    for end in ends {
        let error = listed(&whole[..end]).unwrap_err();
        assert!(matches!(error, ImageError::Truncated { .. } | ImageError::Refused { .. }), "{end}: {error:?}");
    }
}

#[test]
fn nothing_long_is_kept_in_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let stream = header.as_bytes().chain(io::repeat(b'a'));
    let error = Archive::new(stream, "it").next().unwrap_err();
    assert!(error.to_string().contains("longer than 1 MiB"), "{error}");
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::new_gnu();
        header.set_path("a").unwrap();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        change(&mut header);
        header.set_cksum();
        listed(&[header.as_bytes().as_slice(), &[0; 1024]].concat())
    };
    with(&|_| {}).unwrap();
    let sort = |byte| with(&move |header| header.set_entry_type(EntryType::new(byte))).unwrap_err();
    assert!(matches!(sort(b'M'), ImageError::Refused { refusal: Refusal::Sort('M'), .. }));
    assert!(matches!(sort(b'S'), ImageError::Refused { refusal: Refusal::Sparse, .. } | ImageError::Damaged { .. }));
    let size = with(&|header| header.set_size(u64::MAX)).unwrap_err();
    assert!(matches!(size, ImageError::Damaged { .. } | ImageError::Truncated { .. }), "{size:?}");
    let wrong = with(&|header| header.as_mut_bytes()[124..136].fill(b'9')).unwrap_err();
    assert!(matches!(wrong, ImageError::Damaged { .. }), "{wrong:?}");
}
