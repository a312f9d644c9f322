//! What is read of a `ServerInventory` is of its kind, whichever part it is.

/// Makes a type with a field `metadata` a resource of the kind `ServerInventory`.
macro_rules! is_inventory {
    ($part:ty) => {
        impl kube::Resource for $part {
            type DynamicType = ();
            type Scope = <metal_api::ServerInventory as kube::Resource>::Scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                metal_api::ServerInventory::kind(&())
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                metal_api::ServerInventory::group(&())
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                metal_api::ServerInventory::version(&())
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                metal_api::ServerInventory::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(super) use is_inventory;
