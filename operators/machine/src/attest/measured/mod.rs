//! What a machine has booted: the PCR values that its TPM has signed, compared with those that its Machine
//! allows.

mod log;

pub use log::{EventLog, Logged, LoggedEvent};

use super::{Refusal, Verdict, conditions};
use jiff::Timestamp;
use metal_api::Machine;
use metal_core::conditions::cut;
use std::collections::{BTreeMap, BTreeSet};

/// The evidence of a machine about its boot.
#[derive(Clone, Copy, Debug)]
pub enum Measured<'a> {
    /// None: its agent makes no quotes.
    Nothing,
    /// A quote that is not valid, for this reason.
    Refused(&'a str),
    /// These values by PCR, as hexadecimal digits, and the event log that may explain them.
    Values(&'a BTreeMap<u8, String>, EventLog<'a>),
}

/// The longest text about PCRs, in bytes.
const TEXT: usize = 2000;

/// The PCRs for which a Machine allows certain values only; empty if it requires no quote.
pub fn measured_pcrs(machine: &Machine) -> BTreeSet<u8> {
    allowed(machine).map(|(index, _)| index).collect()
}

/// Judges what a machine has booted. Only called if its Machine does not allow everything.
pub fn judge_boot(machine: &Machine, measured: Measured<'_>, now: Timestamp) -> Verdict {
    let old = machine.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let refusal = refusal(machine, measured);
    conditions::set_boot(&mut new.conditions, refusal.as_ref(), machine.metadata.generation, now);
    if let (None, Measured::Values(_, log)) = (&refusal, measured) {
        log::keep(&mut new, &measured_pcrs(machine), log);
    }
    let news = (!conditions::is_same(&old, &new)).then(|| Box::new(new));
    match refusal {
        None => Verdict::Admitted(news),
        Some((refusal, _)) => Verdict::Refused(refusal, news),
    }
}

/// Why it gets no token, with the details.
fn refusal(machine: &Machine, measured: Measured<'_>) -> Option<(Refusal, String)> {
    let (values, log) = match measured {
        Measured::Nothing => return Some((Refusal::QuoteMissing, String::new())),
        Measured::Refused(why) => return Some((Refusal::QuoteRefused, why.to_owned())),
        Measured::Values(values, log) => (values, log),
    };
    let status = machine.status.as_ref();
    let others = allowed(machine).filter_map(|(index, allowed)| {
        let Some(value) = values.get(&index) else {
            return Some(format!("PCR {index} was not shown"));
        };
        let is_allowed = allowed.iter().any(|it| it.eq_ignore_ascii_case(value));
        let told = || format!("PCR {index} is {value}{}", log::explained(log, index, status));
        (!is_allowed).then(told)
    });
    let others: Vec<_> = others.collect();
    let mut what = others.join("; ");
    if let EventLog::Unreadable(why) = log {
        what = format!("{what}; the event log cannot be read: {why}");
    }
    (!others.is_empty()).then(|| (Refusal::PcrDiffers, cut(&what, TEXT).into_owned()))
}

fn allowed(machine: &Machine) -> impl Iterator<Item = (u8, &[String])> {
    let attestation = machine.spec.pxe.as_ref().and_then(|it| it.attestation.as_ref());
    let pcrs = attestation.into_iter().flat_map(|it| &it.pcrs);
    pcrs.filter_map(|pcr| Some((u8::try_from(pcr.index).ok()?, pcr.sha256.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attest::boot_refused, tests::machine};
    use metal_api::{MachineAttestation, MachinePcr, condition};

    #[test]
    fn every_pcr_has_to_have_one_of_its_values() {
        let wanted = asking(&[(0, &["aa"]), (7, &["BB", "cc"])]);
        assert_eq!(measured_pcrs(&wanted), [0, 7].into());
        let said = |values: &[(u8, &str)]| told(&judge(&wanted, values), &wanted);
        assert_eq!(said(&[(0, "aa"), (7, "bb")]), ("Allowed", String::new()));
        assert_eq!(said(&[(0, "aa"), (7, "cc")]), ("Allowed", String::new()));
        for (values, what) in [
            (&[(0, "aa"), (7, "dd")][..], "PCR 7 is dd"),
            (&[(0, "bb"), (7, "bb")], "PCR 0 is bb"),
            (&[(0, "aa")], "PCR 7 was not shown"),
            (&[], "PCR 0 was not shown; PCR 7 was not shown"),
            (&[(0, "bb"), (7, "dd")], "PCR 0 is bb; PCR 7 is dd"),
        ] {
            let (reason, message) = said(values);
            assert!(message.ends_with(&format!("({what})")), "{message}");
            assert_eq!(reason, "PCRDiffers");
        }
    }

    #[test]
    fn without_a_quote_or_with_one_that_proves_nothing_there_is_no_token() {
        let wanted = asking(&[(0, &["aa"])]);
        let now = Timestamp::UNIX_EPOCH;
        let nothing = judge_boot(&wanted, Measured::Nothing, now);
        assert!(matches!(nothing, Verdict::Refused(Refusal::QuoteMissing, Some(_))));
        let (reason, message) = told(&nothing, &wanted);
        assert!(reason == "QuoteMissing" && message.contains("metal-agent"), "{message}");
        let forged = judge_boot(&wanted, Measured::Refused("forged"), now);
        assert_eq!(told(&forged, &wanted).0, "QuoteRefused");
        assert!(told(&forged, &wanted).1.ends_with("(forged)"));
    }

    #[test]
    fn what_is_asked_no_more_fails_no_machine_and_nothing_is_told_twice() {
        let mut wanted = asking(&[(0, &["aa"])]);
        let Verdict::Refused(_, Some(status)) = judge(&wanted, &[(0, "bb")]) else { panic!() };
        assert!(boot_refused(&wanted, &status).is_some());
        wanted.status = Some((*status).clone());
        let again = judge(&wanted, &[(0, "bb")]);
        assert_eq!(again, Verdict::Refused(Refusal::PcrDiffers, None));
        wanted.spec.pxe.as_mut().unwrap().attestation = None;
        assert!(boot_refused(&wanted, &status).is_none() && measured_pcrs(&wanted).is_empty());
    }

    fn judge(machine: &Machine, values: &[(u8, &str)]) -> Verdict {
        let values = values.iter().map(|(index, value)| (*index, (*value).to_owned())).collect();
        let measured = Measured::Values(&values, EventLog::Missing);
        judge_boot(machine, measured, Timestamp::UNIX_EPOCH)
    }

    /// Reason and message of the condition.
    fn told(verdict: &Verdict, machine: &Machine) -> (&'static str, String) {
        let (Verdict::Admitted(status) | Verdict::Refused(_, status)) = verdict;
        let status = status.as_ref().unwrap();
        let all = status.conditions.iter();
        let condition = all.clone().find(|it| it.type_ == condition::BOOT_VERIFIED).unwrap();
        assert_eq!(condition.status == "False", boot_refused(machine, status).is_some());
        let reason = Refusal::of(condition).map_or("Allowed", Refusal::reason);
        assert_eq!(condition.reason, reason);
        (reason, condition.message.clone())
    }

    fn asking(pcrs: &[(i32, &[&str])]) -> Machine {
        let pcr = |(index, values): &(i32, &[&str])| MachinePcr {
            index: *index,
            sha256: values.iter().map(|it| (*it).to_owned()).collect(),
        };
        let pcrs = pcrs.iter().map(pcr).collect();
        let attestation = MachineAttestation { pcrs, ..MachineAttestation::default() };
        let mut machine = machine("a", 1);
        machine.spec.pxe.get_or_insert_default().attestation = Some(attestation);
        machine
    }
}
