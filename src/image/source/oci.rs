//! Images of layers, as files: a layout (OCI image specification, image-layout.md), and what `docker save` writes.
//!
//! Every digest that is said is checked: that of each blob, and of each layer once it is unpacked.

use super::super::budget::{Metered, Told};
use super::super::compression::Unpacked;
use super::super::config::ImageConfig;
use super::super::digest::{Digest, Hashed};
use super::super::error::ImageError;
use super::super::store::LayerRecord;
use super::archive::unpack;
use super::{Made, Making};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest index, manifest or configuration, in bytes: as registries have it.
pub(super) const LONGEST: u64 = 4 << 20;

/// As many layers as overlayfs takes (OVL_MAX_STACK, fs/overlayfs/params.h).
const MOST_LAYERS: usize = 500;

/// How deep an index may lie in another one.
pub(super) const DEEPEST: usize = 4;

/// By which a manifest of a layout is called.
const NAME: &str = "org.opencontainers.image.ref.name";

/// index.json, and an index of platforms.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    media_type: String,
    pub(super) digest: Digest,
    /// Of what it is of, in bytes.
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    platform: Option<Platform>,
}

impl Descriptor {
    /// From now on it is called by nothing.
    pub(super) fn forget_name(&mut self) {
        self.annotations = None;
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    architecture: String,
    os: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// manifest.json of an archive that `docker save` has written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: PathBuf,
    layers: Vec<PathBuf>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// The configuration of an image; the same with Docker and OCI.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    #[serde(default)]
    config: Option<Running>,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Running {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RootFs {
    /// The digests of the layers, unpacked.
    pub(super) diff_ids: Vec<Digest>,
}

/// What a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Layout,
    Saved,
}

/// Whether a directory holds an image of layers.
pub(super) fn form_of(directory: &Path) -> Option<Form> {
    let is_file = |name: &str| directory.join(name).symlink_metadata().is_ok_and(|found| found.is_file());
    if is_file("oci-layout") && is_file("index.json") {
        return Some(Form::Layout);
    }
    // Newer ones have both, and a root file system may have such a file.
    let open = is_file("manifest.json").then(|| Files::open(directory).ok()).flatten();
    open?.json::<Vec<Saved>>(Path::new("manifest.json"), None).is_ok().then_some(Form::Saved)
}

/// Makes the layers of an image that is in a directory.
pub(super) fn make(directory: &Path, form: Form, tag: Option<&str>, making: &Making<'_>) -> Result<Made, ImageError> {
    let files = Files::open(directory)?;
    let image = match form {
        Form::Layout => files.of_layout(tag)?,
        Form::Saved => files.of_saved(tag)?,
    };
    files.layers(image, making)
}

/// A layer's archive.
pub(super) struct Blob {
    name: PathBuf,
    /// What it is said to be, packed as it is.
    said: Option<Digest>,
}

/// What is to be made, and of what.
pub(super) type Image = (Configuration, Vec<Blob>);

/// The files of an image. Whatever their names say, they are in its directory.
pub(super) struct Files {
    directory: OwnedFd,
    name: String,
}

impl Files {
    fn open(path: &Path) -> Result<Self, ImageError> {
        Self::named(path, path.display().to_string())
    }

    /// Those of a directory that people know by another name.
    pub(super) fn named(path: &Path, name: String) -> Result<Self, ImageError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty());
        directory
            .map(|directory| Self { directory, name: name.clone() })
            .map_err(|errno| ImageError::Read { what: name, source: errno.into() })
    }

    fn damaged(&self, why: String) -> ImageError {
        ImageError::Damaged { what: self.name.clone(), why }
    }

    fn file(&self, path: &Path) -> Result<File, ImageError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Archives have links from one file to another.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(&self.directory, path, flags, Mode::empty(), resolve);
        let what = || format!("{} of {}", path.display(), self.name);
        file.map(File::from).map_err(|errno| ImageError::Read { what: what(), source: errno.into() })
    }

    /// Reads a file, whose digest is this.
    fn json<T: DeserializeOwned>(&self, path: &Path, digest: Option<&Digest>) -> Result<T, ImageError> {
        let what = format!("{} of {}", path.display(), self.name);
        let mut text = Vec::new();
        let read = self.file(path)?.take(LONGEST).read_to_end(&mut text);
        read.map_err(|source| ImageError::Read { what: what.clone(), source })?;
        if let Some(wanted) = digest {
            check(&what, *wanted, Digest::of(&text))?;
        }
        serde_json::from_slice(&text).map_err(|error| ImageError::Damaged { what, why: error.to_string() })
    }

    pub(super) fn blob<T: DeserializeOwned>(&self, of: &Descriptor) -> Result<T, ImageError> {
        self.json(&place(&of.digest), Some(&of.digest))
    }

    /// What a manifest says, all of whose blobs are here.
    pub(super) fn of_manifest(&self, manifest: &Manifest) -> Result<Image, ImageError> {
        let said = |layer: &Descriptor| Blob { name: place(&layer.digest), said: Some(layer.digest) };
        Ok((self.blob(&manifest.config)?, manifest.layers.iter().map(said).collect()))
    }

    fn of_layout(&self, tag: Option<&str>) -> Result<Image, ImageError> {
        let mut index: Index = self.json(Path::new("index.json"), None)?;
        let mut tag = tag;
        for _ in 0..DEEPEST {
            let chosen = choose(&self.name, &index, tag)?;
            if !is_index(&chosen.media_type) {
                return self.of_manifest(&self.blob(&chosen)?);
            }
            index = self.blob(&chosen)?;
            tag = None; // it has said which
        }
        Err(self.damaged("an index lies in an index, and so on".to_owned()))
    }

    fn of_saved(&self, tag: Option<&str>) -> Result<Image, ImageError> {
        let all: Vec<Saved> = self.json(Path::new("manifest.json"), None)?;
        let tags = |one: &Saved| one.repo_tags.clone().unwrap_or_default();
        let is_meant = |one: &&Saved| tag.is_none_or(|tag| tags(one).iter().any(|of| is_tag(of, tag)));
        let meant: Vec<&Saved> = all.iter().filter(is_meant).collect();
        let [one] = meant[..] else {
            let tags: Vec<String> = all.iter().flat_map(tags).collect();
            let text = if meant.is_empty() { "has no such image" } else { "has several images" };
            return Err(ImageError::Unknown(format!(
                "{} {text}: say which with --tag ({})",
                self.name,
                tags.join(", ")
            )));
        };
        let blob = |name: &PathBuf| Blob { name: name.clone(), said: digest_of_blob(name) };
        let said = digest_of_blob(&one.config).or_else(|| digest_of_config(&one.config));
        Ok((self.json(&one.config, said.as_ref())?, one.layers.iter().map(blob).collect()))
    }

    /// Holds how many layers there are against what the configuration says.
    pub(super) fn check_count(&self, found: usize, said: usize) -> Result<(), ImageError> {
        if found == said && found <= MOST_LAYERS {
            return Ok(());
        }
        Err(self.damaged(format!("it has {found} layers, and its configuration says {said}")))
    }

    /// Makes the layers of an image.
    pub(super) fn layers(&self, image: Image, making: &Making<'_>) -> Result<Made, ImageError> {
        let (Configuration { config, rootfs: RootFs { diff_ids } }, blobs) = image;
        self.check_count(blobs.len(), diff_ids.len())?;
        let mut made = Made { config: config.unwrap_or_default().into(), ..Made::default() };
        for (blob, digest) in blobs.iter().zip(diff_ids) {
            let name = format!("layer {} of {}", blob.name.display(), self.name);
            let (layer, contents) = match making.work.use_layer(&digest, making.devices)? {
                Some(there) => there,
                None => self.unpack(blob, digest, &name, making)?,
            };
            if contents.is_opaque {
                made.layers.clear();
            }
            // Where it is twice, the upper one says all that the lower one does; overlayfs takes a directory once.
            made.layers.retain(|one: &LayerRecord| one.digest != layer.digest);
            made.layers.push(layer);
            made.left_out.join(&contents.left_out);
        }
        if made.layers.is_empty() {
            return Err(self.damaged("it has no layer".to_owned()));
        }
        Ok(made)
    }

    fn unpack(
        &self,
        blob: &Blob,
        wanted: Digest,
        name: &str,
        making: &Making<'_>,
    ) -> Result<(LayerRecord, super::super::unpack::Contents), ImageError> {
        let file = self.file(&blob.name)?;
        let bytes = file.metadata().map_err(|source| ImageError::Read { what: name.to_owned(), source })?.len();
        let packed = Hashed::new(Told::new(file, bytes, making.progress.clone()));
        let (layer, unpacker) = making.work.new_layer(making.budget, making.devices)?;
        let stream = Metered::new(Hashed::new(Unpacked::new(packed, name)?), making.budget);
        let (contents, stream) = unpack(unpacker, stream, name)?;
        let (stream, found) = stream.into_inner().into_parts();
        if let Some(said) = blob.said {
            let mut packed = stream.into_inner();
            // What whoever unpacks it has not wanted.
            io::copy(&mut packed, &mut io::sink()).map_err(|error| ImageError::of_stream(error, name))?;
            check(name, said, packed.into_parts().1)?;
        }
        check(&format!("{name}, unpacked,"), wanted, found)?;
        Ok((making.work.add_layer(&layer, wanted, &contents)?, contents))
    }
}

impl From<Running> for ImageConfig {
    fn from(said: Running) -> Self {
        let Running { entrypoint, cmd, env, working_dir, user } = said;
        let variable = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            entrypoint: entrypoint.unwrap_or_default(),
            command: cmd.unwrap_or_default(),
            environment: env.unwrap_or_default().into_iter().filter_map(variable).collect(),
            working_directory: some(working_dir),
            user: some(user),
        }
    }
}

/// The manifest, or the index of some, that is meant of those in an index.
pub(super) fn choose(of: &str, index: &Index, tag: Option<&str>) -> Result<Descriptor, ImageError> {
    let name = |one: &Descriptor| one.annotations.as_ref().and_then(|all| all.get(NAME)).cloned();
    let is_meant = |one: &&Descriptor| tag.is_none_or(|tag| name(one).as_deref() == Some(tag));
    let runs_here = |one: &&Descriptor| {
        let is_same = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture();
        one.platform.as_ref().is_none_or(is_same)
    };
    let named: Vec<&Descriptor> = index.manifests.iter().filter(is_meant).collect();
    let mut here: Vec<&Descriptor> = named.iter().copied().filter(runs_here).collect();
    here.dedup_by_key(|one| one.digest);
    match here[..] {
        [one] => Ok(one.clone()),
        // Several for one machine, as of its variants: the first is the one for all.
        [one, ..] if here.iter().all(|other| name(other).is_none()) => Ok(one.clone()),
        _ => {
            let all: Vec<String> = index.manifests.iter().filter_map(name).collect();
            Err(ImageError::Unknown(match (tag, named.is_empty()) {
                (Some(tag), true) => format!("{of} has no image {tag:?}; it has {}", all.join(", ")),
                _ if here.is_empty() => format!("{of} has no image for linux/{}", architecture()),
                _ => format!("{of} has several images: say which with --tag ({})", all.join(", ")),
            }))
        }
    }
}

pub(super) fn check(what: &str, wanted: Digest, found: Digest) -> Result<(), ImageError> {
    if wanted == found { Ok(()) } else { Err(ImageError::WrongDigest { what: what.to_owned(), wanted, found }) }
}

/// Where a blob of a layout is.
pub(super) fn place(digest: &Digest) -> PathBuf {
    Path::new("blobs/sha256").join(digest.hex())
}

/// What a file of `docker save` is said to be by its place: newer ones are layouts, too.
fn digest_of_blob(path: &Path) -> Option<Digest> {
    path.strip_prefix("blobs/sha256").ok()?.to_str().and_then(digest_of_hex)
}

/// What a configuration is said to be by its name: `HEX.json`, which is how images are called (their ID), or `sha256:HEX`, as
/// programs write it that make such archives without Docker. Layers are called by their own, or by anything.
fn digest_of_config(path: &Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".json").or_else(|| name.strip_prefix("sha256:")).and_then(digest_of_hex)
}

fn digest_of_hex(text: &str) -> Option<Digest> {
    format!("sha256:{text}").parse().ok()
}

/// Whether what is of this type is an index.
fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

/// Whether an image that is called so is meant: by all of its name, or what stands behind the colon.
fn is_tag(whole: &str, tag: &str) -> bool {
    whole == tag || whole.rsplit_once(':').is_some_and(|(_, behind)| behind == tag)
}

/// What Go calls the machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
