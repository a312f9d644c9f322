//! Controllers of boot.ironcore.dev, and the HTTP servers that machines boot from.
