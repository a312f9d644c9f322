//! Ownership of the objects that an operator creates.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use metal_api::annotation;

/// Value of [`annotation::MANAGED_BY`] on what netboot created for a BMC that DHCP has seen.
pub const NETBOOT: &str = "netboot";

/// Whether an object was created by this one of our programs.
pub fn is_made_by<K: Resource>(object: &K, maker: &str) -> bool {
    let labels = object.meta().labels.as_ref();
    labels.and_then(|labels| labels.get(annotation::MANAGED_BY)).is_some_and(|it| it == maker)
}

/// What controls an object.
pub(crate) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true))
}

/// Whether an object is controlled by this very one, and not by one that had its name before.
pub(crate) fn is_controlled_by<K: Resource>(meta: &ObjectMeta, owner: &K) -> bool {
    let uid = owner.meta().uid.as_deref();
    controller(meta).is_some_and(|owner| Some(owner.uid.as_str()) == uid)
}

/// The owners of an object that belongs to `owner` alone: it is deleted with its owner, or before
/// it with foreground deletion. `None` if the owner was never stored.
pub fn owned_by<K: Resource<DynamicType = ()>>(owner: &K) -> Option<Vec<OwnerReference>> {
    reference_to(owner).map(|reference| vec![reference])
}

/// The corrected owners of an object that has another owner of the same kind: the same owner by an
/// earlier UID, if both come from a backup, or a previous owner. The garbage collector deletes an
/// object with the last of its owners. `None` if they are correct.
pub fn repaired<K: Resource<DynamicType = ()>>(
    meta: &ObjectMeta,
    owner: &K,
) -> Option<Vec<OwnerReference>> {
    let current = reference_to(owner)?;
    let all = meta.owner_references.as_ref()?;
    let is_same = |other: &&OwnerReference| {
        other.kind == current.kind && group(&other.api_version) == group(&current.api_version)
    };
    if !all.iter().filter(is_same).any(|other| other.uid != current.uid) {
        return None;
    }
    let others = all.iter().filter(|other| !is_same(other)).cloned();
    Some(others.chain([current.clone()]).collect())
}

/// The owners of an object that has lost its controller, as backups may omit owners. `None` if it
/// has another controller.
pub fn adopted<K: Resource<DynamicType = ()>>(
    meta: &ObjectMeta,
    owner: &K,
) -> Option<Vec<OwnerReference>> {
    let all = meta.owner_references.as_deref().unwrap_or_default();
    if all.iter().any(|other| other.controller == Some(true)) {
        return None;
    }
    let current = reference_to(owner)?;
    let others = all.iter().filter(|other| other.uid != current.uid).cloned();
    Some(others.chain([current.clone()]).collect())
}

fn reference_to<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    let reference = owner.controller_owner_ref(&())?;
    Some(OwnerReference { block_owner_deletion: Some(true), ..reference })
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{Bmc, BmcSpec};

    #[test]
    fn what_an_operator_makes_goes_before_its_owner() {
        let [owner] = owned_by(&bmc("new")).unwrap().try_into().unwrap();
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("BMC", "new"));
        assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
        assert_eq!(owned_by(&Bmc::new("bmc-1", BmcSpec::default())), None);
    }

    #[test]
    fn an_owner_of_an_earlier_life_is_replaced_and_others_stay() {
        let foreign = OwnerReference { kind: "Rack".to_owned(), ..stale() };
        let before = OwnerReference { name: "bmc-0".to_owned(), ..stale() };
        let moved = repaired(&meta(&[before]), &bmc("new")).unwrap();
        assert_eq!(moved, owned_by(&bmc("new")).unwrap(), "it belongs to another one now");
        let owners = repaired(&meta(&[stale(), foreign.clone()]), &bmc("new")).unwrap();
        let current = owned_by(&bmc("new")).unwrap().remove(0);
        assert_eq!(owners, [foreign.clone(), current.clone()]);
        assert_eq!(repaired(&meta(&[foreign.clone(), current.clone()]), &bmc("new")), None);
        assert_eq!(repaired(&meta(&[current.clone(), stale()]), &bmc("new")), Some(vec![current]));
        for other in [
            OwnerReference { kind: "Endpoint".to_owned(), ..stale() },
            OwnerReference { api_version: "example.com/v1".to_owned(), ..stale() },
            foreign.clone(),
        ] {
            assert_eq!(repaired(&meta(&[other]), &bmc("new")), None);
        }
        assert_eq!(repaired(&ObjectMeta::default(), &bmc("new")), None);
        assert_eq!(repaired(&meta(&[stale()]), &Bmc::new("bmc-1", BmcSpec::default())), None);
    }

    #[test]
    fn an_owner_that_was_left_out_is_added_unless_another_controls_the_object() {
        let current = owned_by(&bmc("new")).unwrap();
        assert_eq!(adopted(&ObjectMeta::default(), &bmc("new")), Some(current.clone()));
        assert_eq!(adopted(&meta(&current), &bmc("new")), None);
        assert_eq!(adopted(&meta(&[stale()]), &bmc("new")), None);
        let aside = OwnerReference { controller: None, name: "aside".to_owned(), ..stale() };
        let both = [aside.clone(), current[0].clone()];
        assert_eq!(adopted(&meta(&[aside]), &bmc("new")), Some(both.to_vec()));
    }

    fn stale() -> OwnerReference {
        owned_by(&bmc("old")).unwrap().remove(0)
    }

    fn bmc(uid: &str) -> Bmc {
        let mut bmc = Bmc::new("bmc-1", BmcSpec::default());
        bmc.metadata.uid = Some(uid.to_owned());
        bmc
    }

    fn meta(owners: &[OwnerReference]) -> ObjectMeta {
        ObjectMeta { owner_references: Some(owners.to_vec()), ..ObjectMeta::default() }
    }
}
