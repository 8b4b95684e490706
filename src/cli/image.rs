//! `image`: what containers stand on.

use super::all_gone;
use super::args::Global;
use super::args_image::{ImageVerb, ImportArguments};
use super::progress::ByteBar;
use super::signals::Signals;
use super::{render, render_image};
use crate::Error;
use crate::image::{self, Cancel, Devices, ImageError, Kept, Settings, Store};
use crate::lab::IMAGES;
use crate::model::ImageName;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a shell returns for a command that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// The store that is meant: the machine's; an ordinary user's own (XDG Base Directory Specification); or that of --image-dir.
pub(super) fn store(global: &Global) -> Result<Store, Error> {
    let directory = match &global.image_dir {
        Some(directory) => directory.clone(),
        None if rustix::process::geteuid().is_root() => IMAGES.into(),
        None => home()?.join("nslab/images"),
    };
    let absolute = std::path::absolute(&directory);
    absolute.map(Store::new).map_err(|source| Error::Io { action: format!("find {}", directory.display()), source })
}

fn home() -> Result<PathBuf, Error> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    data.ok_or_else(|| {
        Error::Usage("neither XDG_DATA_HOME nor HOME says where images are to be: give --image-dir".into())
    })
}

/// Does what is asked for.
pub(super) async fn image(global: &Global, verb: ImageVerb) -> Result<ExitCode, Error> {
    let store = store(global)?;
    match verb {
        ImageVerb::Import(arguments) => import(global, store, arguments).await?,
        ImageVerb::Ls => render_image::list(global, &store.images()?),
        ImageVerb::Show { name } => render_image::show(global, &store.image(&name)?),
        ImageVerb::Rm { names } => return remove(&store, &names),
        ImageVerb::Prune { kept } => {
            let pruned = store.prune(if kept { Kept::Goes } else { Kept::Stays })?;
            render_image::pruned(global, &pruned);
            return Ok(all_gone(pruned.swept.failed.is_empty()));
        }
        ImageVerb::Du => render_image::usage(global, &store.usage()?),
    }
    Ok(ExitCode::SUCCESS)
}

async fn import(global: &Global, store: Store, arguments: ImportArguments) -> Result<(), Error> {
    let ImportArguments { source, name, tag, max_size, devices, plain_http } = arguments;
    let cancel = Cancel::default();
    let mut signals = Signals::new()?;
    let asked = cancel.clone();
    tokio::spawn(async move {
        signals.next().await;
        asked.cancel();
        signals.next().await;
        // What is left of it goes with whatever comes next.
        std::process::exit(INTERRUPTED);
    });
    let bar = ByteBar::new(global, "importing");
    let settings = Settings {
        name,
        tag,
        plain_http,
        limit: max_size,
        devices: if devices { Devices::Make } else { Devices::LeaveOut },
        cancel,
        progress: bar.callback(),
    };
    let imported = tokio::task::spawn_blocking(move || image::import(&store, &source, &settings)).await;
    drop(bar);
    let imported = imported.unwrap_or(Err(ImageError::Interrupted))?;
    render_image::imported(global, &imported);
    Ok(())
}

fn remove(store: &Store, names: &[ImageName]) -> Result<ExitCode, Error> {
    let mut is_all = true;
    for name in names {
        let removed = store.remove(name)?;
        render_image::damaged(&removed.damaged, true);
        is_all &= removed.swept.failed.is_empty();
        for why in removed.swept.failed {
            render::line(render::Stream::Error, &format!("nslab: {why}"));
        }
        render::line(render::Stream::Error, &format!("nslab: removed {name}"));
    }
    Ok(all_gone(is_all))
}
