//! What a ServiceAccount may do, as the API server says.

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

/// Verb, group, resource and namespace; the resource may have a subresource.
pub(crate) type Access = [&'static str; 4];

/// Whether a ServiceAccount, as `NAMESPACE:NAME`, may do that.
pub(crate) async fn may(client: &Client, account: &str, access: Access) -> Result<bool> {
    let [verb, group, resource, namespace] = access.map(str::to_owned);
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource.to_owned(), Some(subresource.to_owned())),
        None => (resource, None),
    };
    let resource_attributes = Some(ResourceAttributes {
        verb: Some(verb),
        group: Some(group),
        resource: Some(resource),
        subresource,
        namespace: Some(namespace),
        ..ResourceAttributes::default()
    });
    let (of, _) = account.split_once(':').context("an account has a namespace")?;
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{of}")];
    let spec = SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{account}")),
        groups: Some(groups.into()),
        resource_attributes,
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews = Api::<SubjectAccessReview>::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.context("it is reviewed")?.allowed)
}
