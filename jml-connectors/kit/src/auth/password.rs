//! Passwords for accounts that nobody signs in to by password.

use jml_core::provider::{Applied, Error, ErrorKind, Result};
use secrecy::SecretString;

/// A password that nobody knows, for targets that make no account without one: 128 random bits, behind a
/// character of each kind that policies ask for.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system has no randomness.
pub fn unknown_password() -> Result<SecretString> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| {
        let text = "the system has no randomness";
        Error::new(ErrorKind::Internal, text).with_applied(Applied::No)
    })?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("Aa1!{hex}").into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    #[test]
    fn nobody_gets_the_same_one() {
        let (one, other) = (super::unknown_password().unwrap(), super::unknown_password().unwrap());
        assert_eq!(one.expose_secret().len(), 36);
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(!format!("{one:?}").contains("Aa1!"));
    }
}
