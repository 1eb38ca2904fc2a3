//! What every database does with tokens and credentials of gateways.

use std::sync::Arc;

use management::port::{
    Principal, Role, Scope,
    accounts::{Credential, SecretHash, Token},
};

use crate::{
    databases::Opened,
    support::{NOW, application, begin, put},
};

fn token(id: &str, role: Role, expires_at: Option<i64>) -> Token {
    let principal = Principal { role, subject: format!("of {id}") };
    Token { id: id.to_owned(), principal, created_at: NOW, expires_at }
}

fn credential(id: &str, scope: Scope, expires_at: Option<i64>) -> Credential {
    Credential { id: id.to_owned(), client_id: "gw".to_owned(), scope, created_at: NOW, expires_at }
}

fn hash(text: &str) -> SecretHash {
    SecretHash(format!("{text:0>64}"))
}

fn scope(apis: &[&str]) -> Scope {
    Scope::Apis(Arc::new(apis.iter().map(|api| (*api).to_owned()).collect()))
}

pub async fn tokens_are_found_by_their_secret_until_they_are_removed(opened: &Opened) {
    let store = &opened.store;
    let mut all = Vec::new();
    let mut change = begin(store).await;
    for (number, role) in Role::ALL.into_iter().enumerate() {
        let token = token(&format!("t{number}"), role, (number == 1).then_some(NOW + 5));
        change.add_token(&token, &hash(&number.to_string())).await.unwrap();
        all.push(token);
    }
    assert_eq!(change.count_tokens().await.unwrap(), 5);
    change.commit_without_revision();
    assert_eq!(change.commit().await.unwrap(), 0, "no revision");
    for (number, token) in all.iter().enumerate() {
        assert_eq!(store.token_of(&hash(&number.to_string())).await.unwrap().as_ref(), Some(token));
    }
    assert_eq!(store.token_of(&hash("9")).await.unwrap(), None);
    let first = store.tokens(None, 3).await.unwrap();
    assert_eq!((first.items.as_slice(), first.more, first.total), (&all[..3], true, 5));
    let rest = store.tokens(Some("t2"), 3).await.unwrap();
    assert_eq!((rest.items.as_slice(), rest.more, rest.total), (&all[3..], false, 5));

    let mut change = begin(store).await;
    assert_eq!(change.remove_token("t1").await.unwrap().as_ref(), Some(&all[1]));
    assert_eq!(change.remove_token("t1").await.unwrap(), None);
    drop(change);
    assert!(store.token_of(&hash("1")).await.unwrap().is_some(), "the change was dropped");
    let mut change = begin(store).await;
    change.remove_token("t1").await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(store.token_of(&hash("1")).await.unwrap(), None);

    let mut change = begin(store).await;
    let other = token("another", Role::Auditor, None);
    change.add_token(&other, &hash("2")).await.expect_err("two tokens with one secret");
}

pub async fn a_gateway_has_several_credentials_whose_scope_changes(opened: &Opened) {
    let store = &opened.store;
    let one = credential("c1", Scope::All, None);
    let two = credential("c2", scope(&["b", "a"]), Some(NOW + 5));
    let mut change = begin(store).await;
    change.add_credential(&one, &hash("1")).await.unwrap();
    change.add_credential(&two, &hash("2")).await.unwrap();
    assert_eq!(change.count_credentials().await.unwrap(), 2);
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(store.credential_of(&hash("2")).await.unwrap().as_ref(), Some(&two));
    assert_eq!(store.credential("c1").await.unwrap().as_ref(), Some(&one));
    assert_eq!(store.credentials(None, 10).await.unwrap().items, [one.clone(), two.clone()]);

    let mut change = begin(store).await;
    assert_eq!(change.set_scope("c1", &scope(&[])).await.unwrap().as_ref(), Some(&one), "as it was");
    assert_eq!(change.set_scope("c9", &scope(&[])).await.unwrap(), None);
    assert_eq!(change.remove_credential("c2").await.unwrap().as_ref(), Some(&two));
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(store.credential("c1").await.unwrap().unwrap().scope, scope(&[]));
    assert_eq!(store.credential_of(&hash("2")).await.unwrap(), None);
}

pub async fn those_who_wait_are_told_of_changed_accounts(opened: &Opened) {
    let store = &opened.store;
    let mut changes = store.account_changes();
    changes.mark_unchanged();
    put(store, &[application("a", "o", "ACTIVE")]).await;
    let mut change = begin(store).await;
    change.add_token(&token("t", Role::Auditor, None), &hash("1")).await.unwrap();
    drop(change);
    assert!(!changes.has_changed().unwrap(), "of what is dropped, and of the policy, nobody is told");
    for round in 0..3 {
        let mut change = begin(store).await;
        match round {
            0 => change.add_credential(&credential("c", Scope::All, None), &hash("1")).await.unwrap(),
            1 => drop(change.set_scope("c", &scope(&["a"])).await.unwrap()),
            _ => drop(change.remove_credential("c").await.unwrap()),
        }
        change.commit_without_revision();
        change.commit().await.unwrap();
        assert!(changes.has_changed().unwrap(), "{round}");
        changes.mark_unchanged();
    }
}
