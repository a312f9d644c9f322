//! The loop: looks at the certificate, does what is due, and waits.

use crate::{
    args::Args,
    attest::{AttestError, Proof, attest},
    config::{Config, ConfigError},
    http::Server,
    key::Key,
    kube::{Api, KubeError},
    notify,
    plan::{DueAtOnce, Plan, arrived, plan, renewal},
    store::{Current, Store, StoreError},
};
use jiff::Timestamp;
use metal_base::{Chain, backoff::Backoff, jitter};
use metal_http::{Identity, Trust, TrustError};
use rustls::pki_types::CertificateDer;
use std::{io, time::Duration};
use tokio::time::{Instant, sleep};

/// Pauses after failures.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// The pause after a success: even if certificates live for minutes only, the servers are not asked without a
/// pause.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// How often the API server is asked whether it still takes the certificate.
const CHECK: Duration = Duration::from_hours(1);

/// Why the agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration cannot be used.
    #[error("the configuration {0} cannot be used")]
    Config(String, #[source] ConfigError),
    /// There is no such path.
    #[error("--kubeconfig cannot be used")]
    Kubeconfig(#[source] io::Error),
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Attest(#[from] AttestError),
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] TrustError),
    #[error("no key can be made")]
    Key(#[from] rcgen::Error),
    #[error(transparent)]
    Clock(#[from] DueAtOnce),
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    args: Args,
    config: Config,
    store: Store,
    /// The key for which a certificate was requested that has not arrived yet.
    asked: Option<Key>,
    /// The certificate that the API server does not accept.
    refused: Option<CertificateDer<'static>>,
    /// When the API server last did not refuse the certificate that is there.
    checked: Option<Instant>,
    /// What was logged last.
    told: String,
    /// Spreads the renewals of many machines.
    number: u64,
}

impl Agent {
    /// An agent that has done nothing yet.
    ///
    /// # Errors
    ///
    /// If its flags or its configuration cannot be used.
    pub fn new(args: Args) -> Result<Self, StartError> {
        let config = Config::read(&args.config)
            .map_err(|error| StartError::Config(args.config.display().to_string(), error))?;
        let store = Store::new(&args.kubeconfig).map_err(StartError::Kubeconfig)?;
        let (asked, refused, checked) = (None, None, None);
        let (told, number) = (String::new(), jitter::number());
        Ok(Self { args, config, store, asked, refused, checked, told, number })
    }

    /// Runs until there is a certificate, with `--once`, and forever without. Cancel safe: what was
    /// written is whole, and what was begun is begun again.
    pub async fn run(mut self) {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        tracing::info!(machine = self.config.machine, tpm = %self.args.tpm, "metal-agent started");
        loop {
            match self.step().await {
                Ok(None) => return,
                Ok(Some(pause)) => {
                    pauses.reset();
                    sleep(pause).await;
                }
                Err(failure) => {
                    let pause = pauses.pause();
                    self.tell_failure(&failure);
                    sleep(pause).await;
                }
            }
        }
    }

    /// Reads the configuration again: the cluster may have another address or authority by now, and whoever has
    /// corrected the file waits for that to count. One that cannot be used changes nothing.
    fn reread(&mut self) {
        match Config::read(&self.args.config) {
            Ok(config) => self.config = config,
            Err(error) => {
                let (file, error) = (self.args.config.display(), Chain(&error));
                tracing::warn!(%file, %error, "the configuration cannot be used: the former one counts");
            }
        }
    }

    /// Does what is due; returns how long to wait then, or nothing where all is done.
    async fn step(&mut self) -> Result<Option<Duration>, Failure> {
        self.reread();
        let current = self.store.load(&self.config.machine);
        let current = current.filter(|it| self.refused.as_ref() != it.identity.chain.first());
        let validity = current.as_ref().map(|it| it.validity);
        match (plan(validity, self.number, Timestamp::now()), current) {
            (Plan::Wait(pause), current) => {
                self.store.ensure_kubeconfig(&self.config)?;
                // Before anybody is asked: a kubelet waits for it.
                notify::ready();
                if let Some(current) = current.filter(|_| !self.args.once)
                    && self.is_refused(&current).await?
                {
                    return self.begin_anew().await;
                }
                if let Some(validity) = validity {
                    let next = renewal(validity, self.number);
                    self.tell(&format!(
                        "certificate until {}, renewed at {next:.0}",
                        validity.until
                    ));
                }
                Ok((!self.args.once).then_some(pause))
            }
            (Plan::Renew, Some(current)) => self.renew(current).await.map(|()| Some(AFTERWARDS)),
            (Plan::Attest | Plan::Renew, _) => self.begin_anew().await,
        }
    }

    /// Whether the API server does not take a certificate any more that is good for long, as where its authority for
    /// clients was replaced. That it does not answer says nothing.
    async fn is_refused(&mut self, Current { identity, .. }: &Current) -> Result<bool, Failure> {
        if self.checked.is_some_and(|at| at.elapsed() < CHECK) {
            return Ok(false);
        }
        let identity = Identity { chain: identity.chain.clone(), key: identity.key.clone_key() };
        let api = Api::with_certificate(self.api(Some(identity))?);
        let is_refused = matches!(api.knows_us().await, Err(KubeError::Unauthorized));
        self.checked = (!is_refused).then(Instant::now);
        Ok(is_refused)
    }

    /// Has the TPM get a certificate.
    async fn begin_anew(&mut self) -> Result<Option<Duration>, Failure> {
        let joined = self.join().await;
        self.has_begun(joined)
    }

    /// What becomes of that. A certificate that has just come is asked about in an hour: while its signer has another
    /// authority than the API server takes, the next one would be no better.
    fn has_begun(&mut self, joined: Result<(), Failure>) -> Result<Option<Duration>, Failure> {
        if joined.is_ok() {
            self.checked = Some(Instant::now());
        } else {
            // Whoever has refused the one that is there may have been wrong, or another server.
            self.refused = None;
        }
        joined.map(|()| Some(Duration::ZERO))
    }

    /// Gets a certificate with a token.
    async fn join(&mut self) -> Result<(), Failure> {
        notify::status("proving the TPM to metalman");
        let metalman = Server::new(self.config.metalman.clone(), None);
        let proof = Proof {
            tpm: self.args.tpm.clone(),
            template: self.args.endorsement_key.template(),
            event_log: self.args.event_log(),
        };
        let admission = attest(&metalman, proof).await?;
        if admission.authorities.is_some_and(|it| it.trim() != self.config.authorities.trim()) {
            tracing::warn!(
                "metalman names other authorities than Cluster.CaCertBase64, which are not trusted"
            );
        }
        let api = Api::with_token(self.api(None)?, &admission.token)?;
        self.receive(api).await
    }

    /// Gets the next certificate with the current one.
    async fn renew(&mut self, current: Current) -> Result<(), Failure> {
        let first = current.identity.chain.first().cloned();
        let trust = Trust::of(self.config.roots.clone(), Some(current.identity))?;
        let api = Api::with_certificate(Server::new(self.config.api.clone(), Some(trust)));
        let received = self.receive(api).await;
        if matches!(received, Err(Failure::Kube(KubeError::Unauthorized))) {
            self.refused = first;
        }
        received
    }

    async fn receive(&mut self, api: Api) -> Result<(), Failure> {
        notify::status("waiting for a certificate");
        let key = match self.asked.take() {
            Some(key) => key,
            None => Key::generate()?,
        };
        let signed = match api.certificate(&self.config.machine, &key).await {
            Ok(signed) => signed,
            Err(error) => {
                // Nothing else becomes of a request that is settled.
                self.asked = Some(key).filter(|_| !matches!(error, KubeError::Settled(..)));
                return Err(error.into());
            }
        };
        self.store.save(&self.config.machine, &signed, &key)?;
        self.store.ensure_kubeconfig(&self.config)?;
        self.number = jitter::number();
        if let Some(current) = self.store.load(&self.config.machine) {
            arrived(current.validity, self.number, Timestamp::now())?;
        }
        Ok(())
    }

    fn api(&self, identity: Option<Identity>) -> Result<Server, Failure> {
        let trust = Trust::of(self.config.roots.clone(), identity)?;
        Ok(Server::new(self.config.api.clone(), Some(trust)))
    }

    /// Logs a message, once.
    fn tell(&mut self, text: &str) {
        if self.told != text {
            tracing::info!("{text}");
            notify::status(text);
            text.clone_into(&mut self.told);
        }
    }

    fn tell_failure(&mut self, failure: &Failure) {
        let text = Chain(failure).to_string();
        if self.told != text {
            tracing::warn!(error = text, "no certificate yet; retrying");
            self.told = text;
        }
        notify::status(&format!("tried again: {}", self.told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use clap::Parser;
    use serde_json::json;
    use std::{fs, path::Path, sync::Arc};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    /// An agent without a TPM, and a server at this URL.
    fn agent(folder: &Path, api: &str) -> Agent {
        write(folder, api);
        let [config, kubeconfig, tpm] = ["config", "kubeconfig", "tpm"]
            .map(|name| format!("--{name}={}", folder.join(name).display()));
        Agent::new(Args::parse_from(["metal-agent".to_owned(), config, kubeconfig, tpm])).unwrap()
    }

    fn write(folder: &Path, api: &str) {
        let document = json!({
            "MachineName": "node-01",
            "Cluster": {"CaCertBase64": STANDARD.encode(Authority::new().pem())},
            "Kubelet": {"ApiServer": api},
            "Attest": {"URL": "http://192.0.2.1:8880"},
        });
        fs::write(folder.join("config"), document.to_string()).unwrap();
    }

    #[test]
    fn a_configuration_that_is_corrected_counts_without_a_restart_and_a_broken_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(folder.path(), "https://192.0.2.2:6443");
        for (written, expected) in [
            ("https://192.0.2.3:6443", "https://192.0.2.3:6443"),
            ("http://192.0.2.4", "https://192.0.2.3:6443"),
            ("https://192.0.2.5:6443", "https://192.0.2.5:6443"),
        ] {
            write(folder.path(), written);
            agent.reread();
            assert_eq!(agent.config.api.to_string(), expected, "after {written}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_was_refused_is_tried_again_if_the_tpm_gets_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(folder.path(), "https://192.0.2.2:6443");
        agent.refused = Some(CertificateDer::from(vec![0]));
        assert!(matches!(agent.step().await, Err(Failure::Attest(AttestError::Tpm(_)))));
        assert!(agent.refused.is_none());
    }

    #[tokio::test]
    async fn a_certificate_that_has_just_come_is_not_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody is there who could be asked.
        let mut agent = agent(folder.path(), "https://127.0.0.1:1");
        let key = Key::generate().unwrap();
        let signed = Authority::new().signed("system:node:node-01", 2020, 2120, &key);
        agent.store.save("node-01", &signed, &key).unwrap();
        let current = agent.store.load("node-01").unwrap();
        assert_eq!(agent.has_begun(Ok(())).unwrap(), Some(Duration::ZERO));
        let checked = agent.checked;
        assert!(checked.is_some() && !agent.is_refused(&current).await.unwrap());
        assert_eq!(agent.checked, checked, "nobody was asked");
    }

    #[tokio::test]
    async fn a_certificate_that_the_api_server_does_not_take_any_more_is_not_waited_with() {
        for (answer, is_refused) in [("401 Unauthorized", true), ("200 OK", false)] {
            let folder = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut agent = agent(folder.path(), "https://192.0.2.2:6443");
            let authority = Authority::new();
            agent.config.api =
                format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
            agent.config.roots = authority.roots();
            let acceptor = TlsAcceptor::from(Arc::new(authority.server(2020, 2120)));
            let server = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut asked = vec![];
                while !asked.windows(4).any(|it| it == b"\r\n\r\n") {
                    assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
                }
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
                asked
            });
            let key = Key::generate().unwrap();
            let signed = authority.signed("system:node:node-01", 2020, 2120, &key);
            agent.store.save("node-01", &signed, &key).unwrap();
            let current = agent.store.load("node-01").unwrap();
            assert_eq!(agent.is_refused(&current).await.unwrap(), is_refused, "{answer}");
            assert!(server.await.unwrap().starts_with(b"GET /version "), "{answer}");
            // Whoever was not refused is not asked again for a while.
            assert_eq!(agent.checked.is_some(), !is_refused, "{answer}");
        }
    }
}
