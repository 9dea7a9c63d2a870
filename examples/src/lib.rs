//! The runnable examples live beside this file; the package has no library code of its own.
