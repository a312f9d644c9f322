//! OCI images: manifests by architecture, layers by media type, blobs streamed and verified.
