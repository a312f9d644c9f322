//! ISC's DHCP client, as the BMC or machine at the end of a link.

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Process, eventually},
    namespace::Network,
};
use metal_base::testing::script;
use std::{
    fs,
    io::ErrorKind,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

const LIMIT: Duration = Duration::from_mins(3);
const CONFIG: &str = "timeout 30; retry 1; reboot 2; initial-interval 1; backoff-cutoff 2;\n";
/// The script that dhclient calls on every event of a lease.
const HOOK: &str = r#"case $reason in
BOUND | RENEW | REBIND | REBOOT)
    ip address flush dev "$interface"
    ip address add "$new_ip_address/$new_subnet_mask" dev "$interface"
    echo "$new_ip_address" >>"$bound"
    ;;
EXPIRE | RELEASE) ip address flush dev "$interface" ;;
esac
"#;

/// A machine with one interface.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    network: &'a Network,
    interface: &'static str,
    dhclient: PathBuf,
    folder: PathBuf,
    running: Option<Process>,
}

impl<'a> Client<'a> {
    /// A client that is off. Its lease file is that of the previous client of this folder.
    pub(crate) fn new(
        folder: &Path,
        dhclient: &Path,
        network: &'a Network,
        interface: &'static str,
        mac: &str,
    ) -> Result<Self> {
        let folder = folder.to_owned();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config"), CONFIG)?;
        script(&folder.join("hook"), HOOK)?;
        network.ip(&format!("link set {interface} address {mac}"))?;
        Ok(Self { network, interface, dhclient: dhclient.to_owned(), folder, running: None })
    }

    /// Makes it ask like UEFI firmware that boots by HTTP.
    pub(crate) fn boots_by_http(self, uuid: &str) -> Result<Self> {
        let hex: String = uuid.chars().filter(|c| *c != '-').collect();
        let octet = |at: usize| hex.get(2 * at..2 * at + 2).context("a UUID has 16 octets");
        // The first three fields are little-endian on the wire.
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        let octets: Vec<_> = order.into_iter().map(octet).collect::<Result<_>>()?;
        let config = format!(
            "{CONFIG}option architecture code 93 = unsigned integer 16;\n\
             option machine code 97 = string;\n\
             send architecture 16;\n\
             send machine 00:{};\n\
             send vendor-class-identifier \"HTTPClient:Arch:00016:UNDI:003001\";\n",
            octets.join(":")
        );
        fs::write(self.folder.join("config"), config)?;
        Ok(self)
    }

    /// Makes it ask like iPXE.
    pub(crate) fn boots_by_ipxe(self) -> Result<Self> {
        let config = format!(
            "{CONFIG}option architecture code 93 = unsigned integer 16;\n\
             send architecture 7;\n\
             send user-class \"iPXE\";\n"
        );
        fs::write(self.folder.join("config"), config)?;
        Ok(self)
    }

    /// dhclient's lease file.
    pub(crate) fn leases(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("leases"))?)
    }

    /// Waits until its lease file says this: it is emptied and written anew, some time after the address is in use.
    pub(crate) async fn notes(&self, text: &str) -> Result<()> {
        eventually(LIMIT, async || {
            let leases = self.leases()?;
            ensure!(leases.contains(text), "{leases}");
            Ok(())
        })
        .await
    }

    /// Releases its address, and switches it off.
    pub(crate) async fn release(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.kill().await?;
        }
        let mut command = self.dhclient(&["-4", "-r", "-d"]);
        let log = self.folder.with_extension("release.log");
        let mut process = Process::start(&mut command, log)?;
        eventually(LIMIT, async || {
            ensure!(process.check().is_err(), "not released yet");
            Ok(())
        })
        .await?;
        let printed = process.printed()?;
        ensure!(printed.contains("DHCPRELEASE"), "nothing released: {printed}");
        Ok(())
    }

    fn dhclient(&self, flags: &[&str]) -> tokio::process::Command {
        let mut command = self.network.command(&self.dhclient);
        command.args(flags).arg("-e").arg(format!("bound={}", self.bound_file().display()));
        for (flag, file) in [("-cf", "config"), ("-sf", "hook"), ("-lf", "leases"), ("-pf", "pid")]
        {
            command.arg(flag).arg(self.folder.join(file));
        }
        command.arg(self.interface);
        command
    }

    /// Restarts it with its lease file; returns the address that it gets.
    pub(crate) async fn reboot(&mut self) -> Result<Ipv4Addr> {
        self.switch_on().await?;
        self.bound().await
    }

    /// Switches it on with its lease file.
    pub(crate) async fn switch_on(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.kill().await?;
        }
        self.network.ip(&format!("address flush dev {}", self.interface))?;
        fs::write(self.bound_file(), "")?;
        // Only the output from now on is of interest.
        fs::write(self.log(), "")?;
        let mut command = self.dhclient(&["-4", "-d"]);
        self.running = Some(Process::start(&mut command, self.log())?);
        Ok(())
    }

    /// Its address, once it has one.
    pub(crate) async fn bound(&mut self) -> Result<Ipv4Addr> {
        let file = self.bound_file();
        self.until(async || {
            let bound = fs::read_to_string(&file)?;
            Ok(bound.lines().last().context("no lease")?.parse()?)
        })
        .await
    }

    /// Waits until `word` is in its log of sent and received messages.
    pub(crate) async fn says(&mut self, word: &str) -> Result<()> {
        let log = self.log();
        self.until(async || {
            ensure!(fs::read_to_string(&log)?.contains(word), "no {word} yet");
            Ok(())
        })
        .await
    }

    async fn until<T>(&mut self, mut reached: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let running = self.running.as_mut().context("it is off")?;
        let found = eventually(LIMIT, async || {
            running.check()?;
            reached().await
        });
        found.await.with_context(|| running.printed().unwrap_or_default())
    }

    fn bound_file(&self) -> PathBuf {
        self.folder.join("bound")
    }

    /// Restarts it without its lease file; returns the address that it gets.
    pub(crate) async fn reset(&mut self) -> Result<Ipv4Addr> {
        if let Some(running) = self.running.take() {
            running.kill().await?;
        }
        self.forget()?;
        self.reboot().await
    }

    /// Removes its lease file, if it has one.
    fn forget(&self) -> Result<()> {
        match fs::remove_file(self.folder.join("leases")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Next to `folder`, where the cluster looks for processes that must end with it.
    fn log(&self) -> PathBuf {
        let mut log = self.folder.clone().into_os_string();
        log.push(".log");
        log.into()
    }
}
