//! What a pass over a Machine reports about its image and its cloud-init.

use super::{image, progress};
use jiff::{SignedDuration, Timestamp};
use metal_api::{Machine, MachineStatus};
use metal_base::Decision;

/// The decision of a pass, with what its image and cloud-init add to the status. What was to be done
/// waits until that is recorded.
pub fn with_image<C, N, S>(
    decision: Decision<MachineStatus, C, N, S>,
    machine: &Machine,
    state: &image::ImageState,
    now: Timestamp,
) -> Decision<MachineStatus, C, N, S> {
    if machine.spec.pxe.is_none() {
        return decision;
    }
    let old = machine.status.clone().unwrap_or_default();
    let mut new = match &decision {
        Decision::Record(status) => (**status).clone(),
        Decision::Look(_) | Decision::Change(_) | Decision::Act(_) | Decision::Rest(_) => {
            old.clone()
        }
    };
    image::record(&mut new, machine, state, now);
    progress::expire(&mut new, machine, now);
    if new != old {
        return Decision::Record(Box::new(new));
    }
    match (decision, progress::deadline(&new)) {
        (Decision::Rest(rest), Some(deadline)) => {
            let left = deadline.duration_since(now).max(SignedDuration::from_secs(1));
            Decision::Rest(rest.min(left))
        }
        (decision, _) => decision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{MachinePxe, MachineSpec};
    use metal_base::Never;

    type Next = Decision<MachineStatus, Never>;

    #[test]
    fn the_image_is_told_with_whatever_else_there_is_to_tell() {
        let mut machine = machine();
        let pulling = image::ImageState::Pulling;
        let now = Timestamp::UNIX_EPOCH;
        let rest = Next::Rest(SignedDuration::from_mins(10));
        let Next::Record(status) = with_image(rest.clone(), &machine, &pulling, now) else {
            panic!("not told")
        };
        assert_eq!(status.conditions[0].reason, "Pulling");
        let message = Some("more".to_owned());
        let more = MachineStatus { message, ..MachineStatus::default() };
        let both = with_image(Next::Record(Box::new(more)), &machine, &pulling, now);
        let Next::Record(both) = both else { panic!("not told") };
        assert_eq!((both.message.as_deref(), both.conditions.len()), (Some("more"), 1));
        machine.status = Some(*status);
        assert_eq!(with_image(rest.clone(), &machine, &pulling, now), rest);
    }

    #[test]
    fn a_pass_comes_back_when_cloud_init_times_out() {
        let mut machine = machine();
        let event = progress::Event {
            name: "init-local".to_owned(),
            kind: "start".to_owned(),
            ..progress::Event::default()
        };
        let begun = Timestamp::UNIX_EPOCH;
        machine.status = progress::with_condition(&machine, &event, begun);
        let rest = Next::Rest(SignedDuration::from_hours(1));
        let unknown = image::ImageState::Unknown;
        let next = with_image(rest.clone(), &machine, &unknown, begun);
        assert_eq!(next, Next::Rest(progress::PATIENCE));
        let late = begun.checked_add(progress::PATIENCE).unwrap();
        let next = with_image(rest, &machine, &unknown, late);
        let Next::Record(status) = next else { panic!("{next:?}") };
        assert_eq!(status.conditions[0].reason, "TimedOut");
    }

    #[test]
    fn a_machine_of_somebody_else_is_left_alone() {
        let machine = Machine::new("a", MachineSpec::default());
        let rest = Next::Rest(SignedDuration::from_mins(10));
        let next =
            with_image(rest.clone(), &machine, &image::ImageState::Pulling, Timestamp::UNIX_EPOCH);
        assert_eq!(next, rest);
    }

    fn machine() -> Machine {
        let pxe = Some(MachinePxe::default());
        Machine::new("a", MachineSpec { pxe, ..MachineSpec::default() })
    }
}
