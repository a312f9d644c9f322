//! Controllers of metal.ironcore.dev, and the registry that machines report to.
