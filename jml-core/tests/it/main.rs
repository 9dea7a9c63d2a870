//! Integration tests of jml-core, through its public API only.

mod desired_laws;
mod policy_files;
