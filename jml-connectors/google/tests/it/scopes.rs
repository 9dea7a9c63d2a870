//! The least that a credential needs: what the descriptor names is enough for each verb, and the fake asks for it.

use std::sync::Arc;

use jml_connector_checks::NoKey;
use jml_connector_google::{Acting, Google, Hosts, LICENCE_SCOPE, MAILBOX_SCOPES};
use jml_connector_kit::Client;
use jml_connector_kit::auth::{ServiceAccount, TokenAuth};
use jml_connector_kit::http::{ReqwestTransport, Transport};
use jml_core::account::{AccountStatus, CredentialClass};
use jml_core::provider::{MailboxChange, MailboxPart, Operation, Provider as _, Verb};
use jml_testkit::fake::google::Device;

use crate::quirks::Office;
use crate::world::{ACCOUNT, ADMIN};

/// The connector with a credential that has these permissions, as far as each side knows them.
fn with_scopes(office: &Office, scopes: &[String]) -> Google {
    let url = office.place.server.url();
    let (mail, admin): (Vec<_>, Vec<_>) =
        scopes.iter().cloned().partition(|it| MAILBOX_SCOPES.contains(&it.as_str()));
    let transport: Arc<dyn Transport> = Arc::new(ReqwestTransport::new().unwrap());
    let hosts = Hosts::one(&url);
    let delegation = move |base: &str, acting: Acting<'_>| {
        let (subject, scopes) = match acting {
            Acting::Administrator => (ADMIN, admin.join(" ")),
            Acting::Mailbox(user) => (user, mail.join(" ")),
        };
        let endpoint = format!("{url}/token");
        let token = Client::over(&endpoint, transport.clone())?;
        let account = ServiceAccount::new(token, &endpoint, ACCOUNT, scopes, Arc::new(NoKey));
        let auth = TokenAuth::new(account.acting_for(subject));
        Ok(Client::over(base, transport.clone())?.authenticated(auth))
    };
    let made = Google::new("g".parse().unwrap(), &hosts, delegation).unwrap();
    made.with_licences("C01", [("Google-Apps", "1010020027", "Business Starter")]).unwrap()
}

#[tokio::test]
async fn what_the_descriptor_names_is_enough_for_each_verb() {
    let office = Office::new();
    office.works();
    let whole = office.place.provider("g");
    let descriptor = whole.descriptor().clone();
    let grant = |text: &str| Operation::Grant { entitlement: text.parse().unwrap() };
    let revoke = |text: &str| Operation::Revoke { entitlement: text.parse().unwrap() };
    let kill = |class| Operation::RevokeCredentials { class };
    let status = |status| Operation::SetStatus { status };
    let set = [("title".parse().unwrap(), jml_core::attribute::AttributeValue::text("Clerk"))];
    let ops = vec![
        Operation::UpdateAccount { user_name: None, set: set.into(), clear: [].into() },
        grant("group/0staff"),
        revoke("group/0staff"),
        grant("role/31001"),
        revoke("role/31001"),
        grant("licence/Google-Apps:1010020027"),
        revoke("licence/Google-Apps:1010020027"),
        kill(CredentialClass::Sessions),
        kill(CredentialClass::RefreshTokens),
        kill(CredentialClass::AppPasswords),
        kill(CredentialClass::Devices),
        kill(CredentialClass::MfaFactors),
        Operation::SetMailbox(MailboxChange::AutoReply("gone".into())),
        Operation::SetMailbox(MailboxChange::ForwardTo(office.bob.clone())),
        Operation::SetMailbox(MailboxChange::Delegate(office.bob.clone())),
        status(AccountStatus::Disabled),
    ];
    for op in ops {
        let support = &descriptor.verbs[&op.verb()];
        let needed = support.permissions.iter().chain(&descriptor.read_permissions);
        let scopes: Vec<String> = needed.map(ToString::to_string).collect();
        office.place.fake().with(|api| {
            api.delegations.values_mut().next().unwrap().extend(scopes.iter().cloned());
            let emails = ["ada@corp.test".to_owned()].into();
            api.devices.insert("d1".into(), Device { emails, status: "APPROVED".into() });
            let user = api.users.get_mut(office.ada.as_str()).unwrap();
            (user.tokens, user.asps) = (["crm.apps.test".to_owned()].into(), [1].into());
        });
        let narrow = with_scopes(&office, &scopes);
        let done = narrow.apply(&office.cx(), &office.change(&office.ada, op.clone())).await;
        done.unwrap_or_else(|e| panic!("{op}: {e}"));
        // With one less, it is not.
        for without in &support.permissions {
            let fewer: Vec<String> = scopes.iter().filter(|it| it != without).cloned().collect();
            let lacks = with_scopes(&office, &fewer).health(&office.cx()).await;
            // The first user may have no mailbox to ask for by now.
            let Ok(health) = lacks else { continue };
            let mail = MAILBOX_SCOPES.contains(&without.as_str());
            assert!(mail || health.missing_permissions.contains(without), "{op}: {without}");
        }
    }
}

/// Which permission is for what: the narrow one where Google has one.
#[tokio::test]
async fn no_verb_asks_for_more_than_it_uses() {
    let office = Office::new();
    let short = |verb| -> Vec<String> {
        let all = &office.google.descriptor().verbs[&verb].permissions;
        all.iter().map(|it| it.rsplit('/').next().unwrap().to_owned()).collect()
    };
    let (group, role) = ("admin.directory.group.member", "admin.directory.rolemanagement");
    assert_eq!(short(Verb::Revoke), [group, role, "apps.licensing"]);
    let devices = Verb::RevokeCredentials(CredentialClass::Devices);
    assert_eq!(short(devices), ["admin.directory.device.mobile.action"]);
    let reply = Verb::SetMailbox(MailboxPart::AutoReply);
    assert_eq!(short(reply), ["gmail.settings.basic"]);
    assert_eq!(short(Verb::SetMailbox(MailboxPart::Delegate)).len(), 2);
    // Licences only where they are looked after.
    let hosts = Hosts::one(office.place.server.url());
    let none = |base: &str, _: Acting<'_>| Client::new(base);
    let bare = Google::new("g".parse().unwrap(), &hosts, none).unwrap();
    assert!(!bare.descriptor().permissions().contains(LICENCE_SCOPE));
    assert!(office.google.descriptor().permissions().contains(LICENCE_SCOPE));
}
