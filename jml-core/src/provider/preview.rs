//! The default of [`Provider::preview`]: read, then compute.

use super::{
    Change, Cx, Effect, Error, ErrorKind, Expect, Fidelity, ListRequest, Observation, Operation,
    Preview, Provider, Result, Row, Target,
};
use crate::entitlement::EntitlementKey;

pub(super) async fn by_reading<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    change: &Change,
) -> Result<Preview> {
    let verb = change.op.verb();
    if !provider.descriptor().supports(verb) {
        return Err(Error::unsupported(verb));
    }
    let target = change.target()?;
    let before = provider.read(cx, &target).await?;
    if let (Expect::Version(expected), Observation::Present(account)) = (&change.expect, &before)
        && account.version.as_ref() != Some(expected)
    {
        return Err(Error::new(ErrorKind::Conflict, "the account has another version"));
    }
    let (effect, after) = change.op.outcome_on(&before)?;
    if effect == Effect::Changed
        && let Operation::Grant { entitlement } | Operation::Exchange { grant: entitlement, .. } =
            &change.op
    {
        must_exist(provider, cx, entitlement).await?;
    }
    Ok(Preview::new(effect, before, after, Fidelity::Simulated))
}

async fn must_exist<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    wanted: &EntitlementKey,
) -> Result<()> {
    let mut request = ListRequest::entitlements();
    loop {
        let page = match provider.list(cx, &request).await {
            // A target that does not list entitlements cannot be asked.
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
            other => other?,
        };
        let is_wanted = |row: &Row| matches!(row, Row::Entitlement(it) if it.key == *wanted);
        if page.rows().iter().any(is_wanted) {
            return Ok(());
        }
        match page.next() {
            None if page.omissions().is_empty() => {
                return Err(Error::new(ErrorKind::NotFound, format!("`{wanted}` does not exist")));
            }
            None => return Ok(()),
            next if next == request.cursor.as_ref() => {
                return Err(Error::new(ErrorKind::ContractViolation, "a cursor comes twice"));
            }
            next => request.cursor = next.cloned(),
        }
    }
}

impl Change {
    /// The account that the change is about, for reading it before and after.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the change names no account and makes none.
    pub fn target(&self) -> Result<Target> {
        match (&self.account, &self.op) {
            (Some(account), _) => Ok(Target::Account(account.clone())),
            (None, Operation::CreateAccount { user_name, external_id, .. }) => {
                let (identity, user_name) = (external_id.clone(), user_name.clone());
                Ok(Target::External { identity, user_name })
            }
            (None, _) => Err(Error::new(ErrorKind::Invalid, "the change names no account")),
        }
    }
}
