//! Fetches the parts of an image that are not here yet.

use super::super::super::digest::Digest;
use super::super::super::error::{ImageError, InStore, RegistryError};
use super::super::Making;
use super::super::oci::{self, Configuration, Descriptor, Files, Index, Manifest};
use super::{failure, is_here, login};
use futures_util::StreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// What is asked for: images, and indices of them, of OCI and of Docker.
const KNOWN: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// What a registry has by a tag or a digest: one of the two, and nothing that is both (OCI image specification, manifest.md; CVE-2021-41190).
#[derive(Deserialize)]
struct Found {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

pub(super) struct Fetch<'a> {
    client: Client,
    login: RegistryAuth,
    reference: &'a Reference,
    /// The image, as people know it.
    what: &'a str,
    /// Where its parts come, as in a layout.
    directory: &'a Path,
    patience: Duration,
    making: &'a Making<'a>,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        reference: &'a Reference,
        what: &'a str,
        directory: &'a Path,
        plain_http: bool,
        patience: Duration,
        making: &'a Making<'a>,
    ) -> Result<Self, ImageError> {
        crate::name_service::without_libraries();
        // Where another one was chosen before, that does as well.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let is_here = is_here(reference.registry());
        let client = Client::try_from(ClientConfig {
            protocol: if plain_http || is_here { ClientProtocol::Http } else { ClientProtocol::Https },
            read_timeout: Some(patience),
            connect_timeout: Some(patience),
            user_agent: concat!("nslab/", env!("CARGO_PKG_VERSION")),
            // A proxy that the environment names is not asked for the machine itself: this one is for nobody, and takes that one's place.
            http_proxy: is_here.then(|| "http://127.0.0.1:9".to_owned()),
            no_proxy: is_here.then(|| "localhost,127.0.0.0/8".to_owned()),
            ..ClientConfig::default()
        });
        let client = client.map_err(|error| ImageError::Registry {
            what: what.to_owned(),
            source: RegistryError::Client(error.into()),
        })?;
        let login = login::of(reference)?;
        Ok(Self { client, login, reference, what, directory, patience, making })
    }

    /// Fetches all that is needed; gives back the digest of what the registry has by that name, and the manifest.
    pub(super) async fn all(&self) -> Result<(Digest, Manifest), ImageError> {
        let blobs = self.directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).in_store("make", &blobs)?;
        let token = self.client.auth(self.reference, &self.login, RegistryOperation::Pull).await;
        let token = token.map_err(|error| self.failed(error))?;
        // The client takes it for granted that it is one.
        if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(self.damaged("the token that it gives is none"));
        }
        let (digest, manifest) = self.manifest().await?;
        self.parts(&manifest).await?;
        Ok((digest, manifest))
    }

    /// The manifest of the machine's image, and the digest of what it was found by.
    async fn manifest(&self) -> Result<(Digest, Manifest), ImageError> {
        let (digest, mut found) = self.found(self.reference).await?;
        for _ in 0..oci::DEEPEST {
            match found {
                Found { manifests: None, config: Some(config), layers: Some(layers) } => {
                    return Ok((digest, Manifest { config, layers }));
                }
                Found { manifests: Some(mut manifests), config: None, layers: None } => {
                    // What they are called in there nobody asks for.
                    manifests.iter_mut().for_each(Descriptor::forget_name);
                    let chosen = oci::choose(self.what, &Index { manifests }, None)?;
                    found = self.found(&self.reference.clone_with_digest(chosen.digest.to_string())).await?.1;
                }
                Found { .. } => return Err(self.damaged("it is neither an image nor an index of some")),
            }
        }
        Err(self.damaged("an index lies in an index, and so on"))
    }

    async fn found(&self, reference: &Reference) -> Result<(Digest, Found), ImageError> {
        let pulled = self.client.pull_manifest_raw(reference, &self.login, &KNOWN).await;
        let (text, _) = pulled.map_err(|error| self.failed(error))?;
        if text.len() as u64 > oci::LONGEST {
            return Err(self.damaged("its manifest is too long"));
        }
        // The client checks it, too; but what an image is does not hang on a version of the client's.
        let digest = Digest::of(&text);
        if let Some(wanted) = reference.digest().and_then(|digest| digest.parse().ok()) {
            oci::check(self.what, wanted, digest)?;
        }
        let found = serde_json::from_slice(&text).map_err(|error| self.damaged(&error.to_string()))?;
        Ok((digest, found))
    }

    /// The configuration, and the layers that are not here.
    async fn parts(&self, manifest: &Manifest) -> Result<(), ImageError> {
        self.part(&manifest.config, &mut 0, 0).await?;
        let files = Files::named(self.directory, self.what.to_owned())?;
        let configuration: Configuration = files.blob(&manifest.config)?;
        let unpacked = &configuration.rootfs.diff_ids;
        files.check_count(manifest.layers.len(), unpacked.len())?;
        let mut lacking = Vec::new();
        for (layer, digest) in manifest.layers.iter().zip(unpacked) {
            if self.making.work.use_layer(digest, self.making.devices)?.is_none() {
                lacking.push(layer);
            }
        }
        let all = lacking.iter().fold(0_u64, |all, layer| all.saturating_add(layer.size));
        let mut done = 0;
        for layer in lacking {
            self.part(layer, &mut done, all).await?;
        }
        Ok(())
    }

    /// A part, as a file; of `all` bytes so many are `done`.
    async fn part(&self, of: &Descriptor, done: &mut u64, all: u64) -> Result<(), ImageError> {
        let path = self.directory.join(oci::place(&of.digest));
        if path.exists() {
            return Ok(()); // an image may have a layer twice
        }
        let pulled = self.client.pull_blob_stream(self.reference, of.digest.to_string().as_str()).await;
        let mut stream = pulled.map_err(|error| self.failed(error))?.stream;
        let mut file = File::create(&path).in_store("make", &path)?;
        let mut bytes = 0;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| failure::of_stream(self.what, error, self.patience))?;
            bytes += piece.len() as u64;
            if bytes > of.size {
                return Err(self.damaged(&format!("{} is longer than its manifest says", of.digest)));
            }
            self.making.budget.take(piece.len() as u64)?;
            file.write_all(&piece).in_store("write", &path)?;
            *done += piece.len() as u64;
            (self.making.progress)(*done, all.max(*done));
        }
        Ok(())
    }

    fn failed(&self, error: oci_client::errors::OciDistributionError) -> ImageError {
        failure::failed(self.what, error, self.patience)
    }

    fn damaged(&self, why: &str) -> ImageError {
        ImageError::Damaged { what: self.what.to_owned(), why: why.to_owned() }
    }
}
