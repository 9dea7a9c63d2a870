//! Placeholder.
use crate::exit::Failure;
use crate::out::Out;
use std::path::Path;
pub(crate) fn demo(_: &Path, _: bool, _: &Out) -> Result<u8, Failure> {
    Ok(0)
}
