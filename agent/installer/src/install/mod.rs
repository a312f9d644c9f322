//! One installation, from its order to the reboot.
//!
//! ```text
//!  install.json ─► this machine? ─► which disk? ─► its table fits? ─► wiped ─► written but for its ends
//!                       │                │               │                                  │
//!                       ▼                ▼               ▼                                  ▼
//!                         told, and nothing is written        checksum ─► seed ─► both ends ─► boot entry
//! ```
//!
//! What fails is reported and tried again from the beginning, forever: an order may be corrected, a cable
//! plugged in. An image that was written and is of no use is written again once the order is another one, or after
//! a long time: the same would come of it, and disks wear. A disk that was begun with boots nothing until all of it
//! is there, its seed included (see `configure`).

use crate::{
    checksum::{self, ChecksumError, Sha256},
    configure::{ConfigureError, Written, configure, needs},
    disk::{ChoiceError, Kernel, Linux, Target, TargetError, choose, copies, settled, told},
    efi::VariableError,
    fetch::{Broken, Client, Pieces, is_stale, is_unknown, transfer},
    gpt::Needs,
    image::{self, ImageError},
    install_json::{self, Order, OrderError},
    report::Reporter,
    seed::Seed,
};
use bytes::Bytes;
use metal_api::installation::{DONE, InstallDone, InstallPhase, InstalledDisk, ORDER};
use metal_base::Chain;
use metal_http::RequestError;
use metalprobe::{Root, init::End};
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep},
};

/// Pieces between network and disk; each is at most some 100 KiB.
const PIECES: usize = 32;
/// The largest registration file of an installed system, in bytes.
const LARGEST_HOST: usize = 16 << 10;
/// The largest configuration of metal-agent, in bytes.
const LARGEST_AGENT: usize = 1 << 20;
const LINKS: &str = "/sys/class/net";

/// Why there is no installation yet.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error("{0} cannot be fetched")]
    Fetch(&'static str, #[source] RequestError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("this is another machine than {0}: it has none of the hardware addresses of the order")]
    OtherMachine(String),
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("could not download the disk image")]
    Transfer(#[source] Broken),
    #[error("it ended unexpectedly")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Configure(#[from] ConfigureError),
}

impl InstallError {
    /// Whether the installation is not the one that is due.
    fn is_stale(&self) -> bool {
        match self {
            Self::Fetch(_, failure) => is_stale(failure),
            Self::Transfer(broken) => matches!(broken, Broken::Stale(_)),
            _ => false,
        }
    }

    /// Whether an image was written in vain, and the same image would be again. A failure of the disk or the
    /// kernel may pass.
    fn is_of_the_image(&self) -> bool {
        match self {
            Self::Configure(error) => matches!(
                error,
                ConfigureError::Gpt(_) | ConfigureError::Seed(_) | ConfigureError::NoLoader(_)
            ),
            Self::Image(ImageError::Checksum { .. }) => true,
            // A failed write is no fault of the image.
            Self::Image(ImageError::Content(error)) => error.raw_os_error().is_none(),
            _ => false,
        }
    }
}

/// Installs until that succeeds, or the installation is no longer wanted.
pub(crate) async fn install(root: &Root, client: &Client) -> End {
    let mut backoff = client.timeouts.again();
    // Only once, so that a failure remains visible until it is over.
    Reporter::new(client).enter(InstallPhase::Downloading).await;
    let disk = loop {
        let (reporter, mut known) = (Reporter::new(client), None);
        let error = match attempt(root, client, &reporter, &Linux, &mut known).await {
            Ok(disk) => break disk,
            Err(error) => error,
        };
        let why = Chain(&error).to_string();
        if error.is_stale() {
            tracing::error!(error = why, "this installation is not due: the machine restarts");
            sleep(client.timeouts.reading).await;
            return End::Reboot;
        }
        let pause = backoff.pause();
        let again_in = format!("{:.0} s", pause.as_secs_f32());
        tracing::error!(error = why, again_in, "not installed");
        reporter.fail(&why).await;
        sleep(pause).await;
        if let Some(known) = known.filter(|_| error.is_of_the_image()) {
            another(client, &reporter, &why, &known).await;
        }
    };
    say_done(client, disk).await;
    End::Reboot
}

/// The order and its list of checksums, as they came.
type Documents = (Bytes, Bytes);

/// Waits for other documents than those that were followed, or for a long time, in which it is told again and again
/// what is wrong: who is to know may not have listened. A server that does not answer has no other ones.
async fn another(client: &Client, reporter: &Reporter<'_>, why: &str, known: &Documents) {
    let (begun, mut backoff) = (Instant::now(), client.timeouts.again());
    while begun.elapsed() < client.timeouts.rewrite {
        match documents(client).await {
            Ok(now) if now == *known => {}
            Ok(_) | Err(InstallError::Order(_)) => return,
            Err(error) if error.is_stale() => return,
            Err(_) => {}
        }
        sleep(backoff.pause()).await;
        reporter.fail(why).await;
    }
}

async fn documents(client: &Client) -> Result<Documents, InstallError> {
    let order = fetch_order(client).await?;
    let list = fetch_list(client, &install_json::read(&order)?).await?;
    Ok((order, list))
}

async fn fetch_order(client: &Client) -> Result<Bytes, InstallError> {
    let order = client.get(ORDER, install_json::LARGEST).await;
    order.map_err(|error| InstallError::Fetch(ORDER, error))
}

async fn fetch_list(client: &Client, order: &Order) -> Result<Bytes, InstallError> {
    let list = client.get(&order.checksums, checksum::LARGEST).await;
    list.map_err(|error| InstallError::Fetch("the list of checksums", error))
}

/// Installs once, to the disk that is returned. `known` becomes what says which image that is.
async fn attempt(
    root: &Root,
    client: &Client,
    reporter: &Reporter<'_>,
    kernel: &impl Kernel,
    known: &mut Option<Documents>,
) -> Result<InstalledDisk, InstallError> {
    let document = fetch_order(client).await?;
    let order = install_json::read(&document)?;
    if !is_this(root, &order) {
        return Err(InstallError::OtherMachine(order.machine));
    }
    let list = fetch_list(client, &order).await?;
    let name = order.image.rsplit('/').next().unwrap_or_default();
    let sum = checksum::find(&list, name)?;
    *known = Some((document, list));
    let seed = seed(client, &order).await?;
    let disks = settled(root, &order.hints, &client.timeouts).await?;
    let disk = choose(&disks, &order.hints)?;
    let gib = disk.size >> 30;
    tracing::info!(disk = disk.name, serial = disk.serial, gib, "overwriting the disk");
    reporter.enter(InstallPhase::Writing).await;
    let image = Image {
        path: order.image,
        sum,
        target: Target::open(root, disk)?,
        needs: needs(root, &seed),
    };
    let written = tokio::select! {
        written = image.write(client, reporter) => written?,
        never = reporter.go_on() => never,
    };
    tracing::info!("the disk image is written, and its checksum is right");
    reporter.enter(InstallPhase::Configuring).await;
    let installed = told(disk);
    let others: Vec<_> = disks.iter().filter(|it| it.name != disk.name).cloned().collect();
    let (root, kernel) = (root.clone(), kernel.clone());
    let configured = spawn_blocking(move || {
        let copies = copies(&root, &others, written.ends.table());
        let refused = configure(&root, &kernel, (&order.label, &seed), written)?;
        Ok::<_, ConfigureError>(note(refused.as_ref(), &copies))
    });
    reporter.done(&configured.await??).await;
    Ok(installed)
}

/// A note for a person about a completed installation, if there is one.
fn note(refused: Option<&VariableError>, copies: &[String]) -> String {
    let refused =
        refused.map(|error| format!("the firmware does not take its boot entry: {}", Chain(error)));
    let names = copies.join(", ");
    let other = (!names.is_empty()).then(|| {
        format!("partitions of {names} have the same GUIDs, and may be started instead: wipe them")
    });
    let notes: Vec<_> = refused.into_iter().chain(other).collect();
    if notes.is_empty() {
        return String::new();
    }
    let note = format!("the disk is whole, but {}", notes.join("; and "));
    tracing::error!(note, "installed");
    note
}

/// The files that are left to the installed system.
async fn seed(client: &Client, order: &Order) -> Result<Seed, InstallError> {
    let host = match &order.host {
        Some(path) => Some(client.get(path, LARGEST_HOST).await.map_err(|error| {
            InstallError::Fetch("what the installed system registers with", error)
        })?),
        None => None,
    };
    let agent = match &order.agent {
        Some(path) => {
            let told = client.get(path, LARGEST_AGENT).await;
            Some(told.map_err(|error| InstallError::Fetch("what metal-agent is told", error))?)
        }
        None => None,
    };
    let (cloud_init, installation) = (order.cloud_init.clone(), order.installation.clone());
    Ok(Seed { cloud_init, host, agent, installation })
}

/// Whether this machine has one of the addresses: an order may have come to somebody else.
fn is_this(root: &Root, order: &Order) -> bool {
    let Some(mac) = &order.mac else { return true };
    let links = root.names(LINKS).unwrap_or_default();
    let addresses = links.iter().filter_map(|link| root.word(&format!("{LINKS}/{link}/address")));
    let mut addresses = addresses.filter_map(|text| text.parse().ok());
    addresses.any(|address| mac.contains(&address))
}

/// A disk image, and the disk that it is for.
struct Image {
    /// Where it is, below the URL of the installation.
    path: String,
    sum: Sha256,
    target: Target,
    needs: Needs,
}

impl Image {
    /// Writes it.
    async fn write(
        self,
        client: &Client,
        reporter: &Reporter<'_>,
    ) -> Result<Written, InstallError> {
        let Self { path, sum, target, needs } = self;
        let (to, from) = mpsc::channel(PIECES);
        let writer = spawn_blocking(move || {
            let written = image::write(Pieces::new(from), &sum, target.place(), needs);
            written.map(|ends| Written { target, ends })
        });
        let moved = transfer(client, &path, &to, &reporter.transfer).await;
        drop(to);
        // The disk first: a transfer that nobody wants any more is none of its own doing.
        match (writer.await?, moved) {
            (Ok(written), Ok(())) => Ok(written),
            (Err(ImageError::Transfer(_)) | Ok(_), Err(broken)) => {
                Err(InstallError::Transfer(broken))
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// Reports that it is done, in the way that counts, until that is acknowledged: a server that does not know it would
/// have the system that is there now installed again. A machine that nobody knows any more is not installed again.
async fn say_done(client: &Client, disk: InstalledDisk) {
    let done = serde_json::to_vec(&InstallDone { disk: Some(disk) });
    let done = Bytes::from(done.unwrap_or_default());
    let (mut backoff, mut unknown) = (client.timeouts.again(), None::<Instant>);
    loop {
        match client.post(DONE, done.clone()).await {
            Ok(()) => {
                tracing::info!("installed; the machine restarts");
                return;
            }
            Err(error) if is_stale(&error) => {
                tracing::warn!(
                    "installed, but another installation is due by now: {}",
                    Chain(&error)
                );
                return;
            }
            Err(error) => {
                let why = Chain(&error);
                tracing::warn!("installed, but could not report it to the server yet: {why}");
                unknown = is_unknown(&error).then(|| unknown.unwrap_or_else(Instant::now));
            }
        }
        if unknown.is_some_and(|since| since.elapsed() >= client.timeouts.unknown) {
            tracing::warn!("installed; the server no longer knows this machine, which restarts");
            return;
        }
        sleep(backoff.pause()).await;
    }
}

/// The installation that the kernel's command line requests.
pub(crate) fn base(root: &Root) -> Option<String> {
    let line = root.text("/proc/cmdline").unwrap_or_default();
    // As for all kernel arguments, the last one counts.
    let value =
        line.split_whitespace().rev().find_map(|word| word.strip_prefix("bloomery.install="));
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
