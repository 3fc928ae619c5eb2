//! The bytes of credentials, and of what an account sends for another.

use super::*;
use ghostplane_types::{Credential, CredentialTerms};

/// Credentials, and an account that acts for another.
#[test]
fn credentials() {
    let plane = plane();
    let (alice, bob, operator) = (gid("alice").address(), gid("bob").address(), gid("operator's wallet").address());
    let claims = CredentialTerms::claims_digest(b"{\"name\":\"Alice\",\"salt\":\"4f1c\"}");
    let terms = |level, certified| CredentialTerms {
        subject: alice,
        claims,
        level,
        certified,
        expires: GENESIS_MS + 86_400_000,
    };
    let issue = |level, certified| Action::IssueCredential(Box::new(terms(level, certified)));
    let by_operator = vec![issue(2, Some(EntityType::Oracle))];
    let by_bob = vec![issue(0, None)];
    let ends = [Action::DropCredential { issuer: bob, claims }, Action::RevokeCredential { subject: alice, claims }];
    let delegation = Action::AddSession(Box::new(Session {
        lane: 9,
        holder: Holder::Account(bob),
        expires: GENESIS_MS + 86_400_000,
        scope: Scope {
            kinds: KindSet::of(&[Action::KIND_TRANSFER]),
            recipients: None,
            l1_recipients: None,
            contracts: Vec::new(),
            limits: vec![daily(1_000_000, 5_000_000)],
        },
    }));
    let by_delegate = {
        let mut body = transaction(&plane, "alice", 1, vec![pay("bob", AssetId::GCC, 4)], "").body;
        (body.nonce, body.key_ref) = (Nonce { lane: 9, seq: 0 }, KeyRef::Delegate { account: bob, position: 0 });
        let auth = key("bob").sign(Domain::TransactionAuth, CHAIN, &body.id());
        Transaction { body, auth: auth.into(), approvals: Vec::new(), sponsorship: None }
    };
    let rounds = vec![
        vec![transaction(&plane, "alice", 0, vec![pay("bob", AssetId::GCC, 1)], "")],
        vec![
            transaction(&plane, "operator's wallet", 0, by_operator.clone(), ""),
            transaction(&plane, "bob", 0, by_bob.clone(), ""),
        ],
        vec![transaction(&plane, "alice", 1, vec![ends[0].clone(), delegation.clone()], "")],
        vec![by_delegate, transaction(&plane, "operator's wallet", 1, vec![ends[1].clone()], "")],
    ];
    let actions = [&by_operator[..], &by_bob, &ends, &[delegation]].concat();
    let credential = Credential { issuer: operator, terms: terms(2, Some(EntityType::Oracle)), issued: GENESIS_MS };
    let people = [("alice", 10_000_000_000), ("bob", 1_000_000_000), ("operator's wallet", 1_000_000_000)];
    frozen(
        "credentials.json",
        &json!({
            "claims": claims.to_string(),
            "credential": encoding(&credential),
            "object_key": hex::encode(ObjectKey::credential(&operator, &alice, &claims).as_bytes()),
            "actions": named_actions(&actions),
            "batches": lived(&plane, &people, rounds),
        }),
    );
}
