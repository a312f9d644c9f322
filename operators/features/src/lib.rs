//! No code. The manifest switches on the features of libraries that we do not call ourselves, and
//! that would differ from crate to crate with whoever else is around.
//!
//! `hack/test alone` builds each crate with no features but its own. A library with other features
//! is another library, and so is all that depends on it: where only macros parse one kind of
//! expression more, tokio, kube and k8s-openapi are compiled anew. Features of libraries that we do
//! call belong in the manifest of the caller, where the test can see that they are missing.
