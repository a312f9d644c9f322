//! Forged reports, BMCs that send too much, and claims that are too large, all at once.

use crate::{
    claims::{Loose, TooLarge},
    connections::served_until,
    ports::{self, Target},
    site::{OPERATORS, Scale, Site, soon},
};
use anyhow::{Result, ensure};
use e2e::hostile::LongAnswers;
use reqwest::{Client, StatusCode};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// The largest body that the registry accepts at all.
const BODY: usize = 4 << 20;
const READY: Duration = Duration::from_mins(2);
/// How the registry answers those who may not report.
const REFUSALS: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];

pub(crate) async fn send_all_at_once(site: &Site) {
    let number = site.scale.of(
        // metal-operator has four places for long answers.
        Number { posters: 8, bmcs: 6, claims: 8 },
        Number { posters: 32, bmcs: 60, claims: 160 },
    );
    let outcome = Box::pin(all_at_once(site, &number)).await;
    let Number { posters, bmcs, claims } = number;
    let what = format!(
        "{posters} x 4 MiB, {bmcs} BMCs with long answers, {claims} + {} claims",
        2 * claims
    );
    site.tell(&what, Target::Metal, outcome);
}

/// Numbers of attackers.
struct Number {
    posters: usize,
    bmcs: u8,
    claims: usize,
}

/// All attacks at once; at full size, again after a restart. An honest machine is discovered each
/// time.
async fn all_at_once(site: &Site, number: &Number) -> Result<Duration> {
    let registry = ports::registry();
    let posters = ReportAttackers::start(number.posters)?;
    let hostile = LongAnswers::start().await?;
    hostile.plug_in(&site.stack, number.bmcs).await?;
    let loose = Loose::claims(&site.stack).await?;
    let claims = TooLarge::selectors(&site.stack, number.claims).await?;
    loose.end().await?;
    let annotated = TooLarge::annotations(&site.stack, 2 * number.claims).await?;
    let before = served_until(&registry, async {
        site.one_more_server().await?;
        soon(async || hostile.all_misbehave(&site.stack).await).await
    });
    let before = Box::pin(before).await?;
    // The peak of the first process counts as well.
    let peak = site.stack.metal.peak_memory()?;
    let mut after = Duration::ZERO;
    if site.scale == Scale::Full {
        site.stack.metal.kill().await?;
        site.stack.metal.start()?;
        site.stack.metal.ready(READY).await?;
        let next = async { site.one_more_server().await.map(drop) };
        after = Box::pin(served_until(&registry, next)).await?;
    }
    let limit = 512 << 20;
    ensure!(peak < limit, "{} MiB of memory before the restart", peak >> 20);
    posters.end()?;
    claims.delete().await?;
    annotated.delete().await?;
    Ok(before.max(after))
}

/// Attackers who send reports with invalid tokens.
struct ReportAttackers {
    posting: JoinSet<Result<()>>,
    refused: Arc<AtomicUsize>,
}

impl ReportAttackers {
    fn start(number: usize) -> Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        let bodies = [many(), deep()];
        let (mut posting, refused) = (JoinSet::new(), Arc::<AtomicUsize>::default());
        for number in 0..number {
            let (http, body) = (http.clone(), bodies[number % bodies.len()].clone());
            let token = if number % 3 == 0 { "" } else { "/t/e30.AAAA" };
            let url = format!("http://{OPERATORS}:10000{token}/register");
            let refused = Arc::clone(&refused);
            posting.spawn(async move {
                loop {
                    let post = http.post(&url).header("content-type", "application/json");
                    // A client that is refused while it sends the body may not get to read the
                    // answer.
                    let Ok(answer) = post.body(body.clone()).send().await else { continue };
                    let status = answer.status();
                    if REFUSALS.contains(&status) {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    // While it starts, it knows no token.
                    let is_starting = status == StatusCode::SERVICE_UNAVAILABLE;
                    ensure!(is_starting, "a report of nobody was looked at: {status}");
                }
            });
        }
        Ok(Self { posting, refused })
    }

    /// Fails if a forged report was looked at, or if none has reached the registry at all.
    fn end(mut self) -> Result<()> {
        if let Some(ended) = self.posting.try_join_next() {
            ended??;
        }
        let refused = self.refused.load(Ordering::Relaxed);
        ensure!(refused > 0, "no forged report has reached the registry: nothing was attacked");
        Ok(())
    }
}

fn many() -> String {
    format!(
        "{{\"SystemUUID\":\"a\",\"data\":{{\"storage\":[{}{{}}]}}}}",
        "{},".repeat(BODY / 3 - 50)
    )
}

fn deep() -> String {
    format!("{{\"SystemUUID\":\"a\",\"data\":{}", "[".repeat(BODY - 50))
}
