//! The images that containers of a lab stand on: looked up before a lab is planned, and claimed while it is up.

use super::Nslab;
use crate::Error;
use crate::error::chain;
use crate::image::{Claim, Footing, ImageError, Store};
use crate::launcher::Record;
use crate::model::container::{Root, RootFileSystem, RootSource, Upper, Writes};
use crate::model::{LabName, NodeName};
use crate::spec::{FromImage, Node, NodeContainer, Spec};
use crate::state::{LabState, LockedLab};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a node's container is called in the store: no name of a lab or a node has such a character in it.
fn place(lab: &LabName, node: &NodeName) -> String {
    format!("{lab}@{node}")
}

impl Nslab {
    /// A topology with what its images say, where it stands on some. Nothing is made.
    pub(super) fn on_images(&self, spec: &Spec) -> Result<Spec, Error> {
        let mut spec = spec.clone();
        let lab = spec.name.clone();
        for Node { name, container, .. } in &mut spec.nodes {
            if let Some(container) = container {
                self.on_image(&lab, name, container)?;
            }
        }
        Ok(spec)
    }

    fn on_image(&self, lab: &LabName, node: &NodeName, container: &mut NodeContainer) -> Result<(), Error> {
        let Some(FromImage { name, keep }) = &container.image else { return Ok(()) };
        // Of a lab that is up, it is known what it stands on.
        if !matches!(&container.root.source, RootSource::Layers(layers) if layers.is_empty()) {
            return Ok(());
        }
        let image = self.images().image(name)?;
        let run = self.images().run_of(&image, &container.command, container.user)?;
        let Footing { layers, files, place: _ } = self.images().footing(&place(lab, node), name)?;
        let goes = if *keep { Vec::new() } else { vec![files.clone()] };
        container.root.source = RootSource::Layers(layers);
        container.root.writes = Writes::Above(Upper { directory: files, goes });
        container.command = run.command;
        container.user = run.user;
        container.workdir = container.workdir.take().or(run.working_directory);
        let mut variables = run.environment;
        variables.append(&mut container.env);
        container.env = variables;
        Ok(())
    }

    /// Takes away what is left of a locked lab's containers that stood on images, and of others that are no more; in all stores
    /// that were ever claimed for it, which several --image-dir may have named.
    pub(super) fn leave_images(&self, lab: &LockedLab, now: Option<&LabState>) -> Result<(), Error> {
        let mut stores = lab.stores()?;
        stores.insert(place_of(self.images()));
        let mut result = Ok(());
        for path in stores {
            // What failed half-way may run all the same.
            let stands = now.into_iter().flat_map(LabState::specs).flat_map(standing);
            let here = stands.filter(|one| place_of(&one.store) == path);
            let holding: Vec<String> = here.map(|one| place(lab.name(), &one.node.name)).collect();
            match Store::new(path).release(lab.paths().directory(), &holding) {
                Ok(swept) => swept.warn(),
                Err(error) => {
                    tracing::warn!("{}", chain(&error));
                    result = Err(error.into());
                }
            }
        }
        sweep(self.images());
        result
    }

    /// Where stores are: the caller's own, and that in which a container of no lab stood.
    pub(super) fn stores_of(&self, forgotten: Option<&Record>) -> BTreeSet<PathBuf> {
        let stood = match forgotten.map(|record| &record.launch.container.root) {
            Some(Root::Own(root)) => store_of(root),
            Some(Root::Callers) | None => None,
        };
        stood.iter().chain([self.images()]).map(place_of).collect()
    }
}

/// Takes away what containers of a store have left. Whoever came for something else does not fail for it.
pub(super) fn sweep(store: &Store) {
    match store.sweep() {
        Ok(swept) => swept.warn(),
        Err(error) => tracing::warn!("{}", chain(&error)),
    }
}

/// Where a store is, by whatever path it was named.
fn place_of(store: &Store) -> PathBuf {
    store.path().canonicalize().unwrap_or_else(|_| store.path().to_owned())
}

/// The store that a container's files are in; `None` where it stands on no image.
fn store_of(root: &RootFileSystem) -> Option<Store> {
    let Writes::Above(upper) = &root.writes else { return None };
    Store::of_files(&upper.directory)
}

/// Has the images of a lab that is locked stay as long as it is there, besides those that it stands on until it is changed.
pub(super) fn claim(lab: &LockedLab, spec: &Spec) -> Result<(), Error> {
    claim_by(lab, spec, Store::claim)
}

/// The same when it has been changed: what its containers stood on before may go.
pub(super) fn claim_anew(lab: &LockedLab, spec: &Spec) -> Result<(), Error> {
    claim_by(lab, spec, Store::claim_anew)
}

fn claim_by(
    lab: &LockedLab,
    spec: &Spec,
    claim_one: impl Fn(&Store, &str, &Claim, &[PathBuf]) -> Result<(), ImageError>,
) -> Result<(), Error> {
    for Standing { node, image, layers, store } in standing(spec) {
        let claim = Claim {
            owner: format!("{}/{}", spec.name, node.name),
            image: image.name.clone(),
            is_kept: image.keep,
            record: Some(lab.paths().directory().to_owned()),
        };
        lab.add_store(&place_of(&store))?;
        claim_one(&store, &place(&spec.name, &node.name), &claim, layers)?;
    }
    Ok(())
}

/// A node whose container stands on an image.
struct Standing<'a> {
    node: &'a Node,
    image: &'a FromImage,
    layers: &'a [PathBuf],
    /// Where they are.
    store: Store,
}

fn standing(spec: &Spec) -> impl Iterator<Item = Standing<'_>> {
    spec.nodes.iter().filter_map(|node| {
        let NodeContainer { image, root, .. } = node.container.as_ref()?;
        let RootSource::Layers(layers) = &root.source else { return None };
        Some(Standing { node, image: image.as_ref()?, layers, store: store_of(root)? })
    })
}
