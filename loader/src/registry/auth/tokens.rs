//! Tokens at hand, and what is asked for in one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use reqwest::StatusCode;
use tokio::sync::Mutex;
use tranship_common::Repository;

use super::super::RequestError;
use super::token_endpoint::Given;

/// Repositories that are mounted into, or from, with one token, unless that turns out to be too
/// many. Proxies refuse headers of more than 8 KiB, and a repository makes a token longer by a
/// hundred bytes and more.
const GROUP: usize = 10;

/// Characters of the names in one token at most, for the same reason and for the address of the
/// request.
const MAX_NAMES: usize = 2000;

/// A token that is longer fits no header (bytes): one for fewer repositories is asked for.
const LONGEST_TOKEN: usize = 7 << 10;

/// The repositories that a request concerns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Scope {
    /// Pushed to, and pulled from.
    pub(in super::super) push: Option<Repository>,
    /// Mounted from.
    pub(in super::super) pull: Option<Repository>,
}

/// What a token is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Access {
    push: Vec<Repository>,
    pull: Vec<Repository>,
}

#[derive(Debug)]
struct Token {
    value: String,
    access: Access,
    renew_at: Instant,
    given_at: Instant,
    /// The same moment by the clock of the token endpoint.
    given_there: Option<SystemTime>,
}

/// Which token a request needs: that of a repository, or that of mounts from one group of
/// repositories into another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Own(Option<Repository>),
    Mounts { into: usize, from: usize },
}

/// Empty before the first token. Locked while one is asked for, so that many requests that need the
/// same token ask for it once; those that need another one do not wait.
type Slot = Rc<Mutex<Option<Token>>>;

/// The tokens of an account: one for each repository, and few for mounts. A mount needs a token
/// that is for both of its repositories; one for each pair would be many, so it is for a group of
/// them on both sides.
#[derive(Debug)]
pub(super) struct Tokens {
    slots: RefCell<HashMap<Key, Slot>>,
    known: RefCell<Known>,
    /// Repositories in a group.
    group: Cell<usize>,
    /// When there are more slots than this, those of old tokens are taken away.
    sweep_at: Cell<usize>,
}

/// The repositories that tokens are asked for, in the order of the first time, with their places.
#[derive(Debug, Default)]
struct Known {
    names: Vec<Repository>,
    places: HashMap<Repository, usize>,
}

impl Default for Tokens {
    fn default() -> Self {
        let (slots, known) = (RefCell::default(), RefCell::default());
        Self { slots, known, group: Cell::new(GROUP), sweep_at: Cell::new(0) }
    }
}

impl Tokens {
    /// Takes note of a repository that tokens will be asked for, so that groups are whole at once.
    pub(super) fn expect(&self, repository: &Repository) {
        self.known.borrow_mut().place(repository);
    }

    /// A token for this scope, and whether it was given just now: the one at hand, or a new one
    /// before the old one expires.
    pub(super) async fn get(
        &self,
        scope: &Scope,
        ask: impl AsyncFn(&[String]) -> Result<Given, RequestError>,
    ) -> Result<(String, bool), RequestError> {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref().filter(|token| token.serves(scope)) {
            return Ok((token.value.clone(), false));
        }
        let needed = Access::needed(scope);
        let mut access = self.wished(scope);
        let mut given = ask(&access.parameters()).await;
        if is_too_much(&given) && access != needed {
            access = needed;
            given = ask(&access.parameters()).await;
            if given.is_ok() {
                self.group.set(self.group.get().div_ceil(2));
            }
        }
        let Given { value, lifetime, date } = given?;
        let given_at = Instant::now();
        // Our own clock: the target's may differ. A quarter is left for requests under way.
        let renew_at = given_at + lifetime * 3 / 4;
        let token = Token { value: value.clone(), access, renew_at, given_at, given_there: date };
        *slot = Some(token);
        Ok((value, true))
    }

    /// A token was refused; another request may have replaced it already.
    pub(super) async fn forget(&self, scope: &Scope, refused: &str) {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if slot.as_ref().is_some_and(|token| token.value == refused) {
            *slot = None;
        }
    }

    /// What the clock of the token endpoint should show, by that of the token.
    pub(super) async fn time_there(&self, scope: &Scope, value: &str) -> Option<SystemTime> {
        let slot = self.slot(scope);
        let slot = slot.lock().await;
        let token = slot.as_ref().filter(|token| token.value == value)?;
        Some(token.given_there? + token.given_at.elapsed())
    }

    fn slot(&self, scope: &Scope) -> Slot {
        let key = self.key(scope);
        let mut slots = self.slots.borrow_mut();
        if slots.len() >= self.sweep_at.get() {
            let now = Instant::now();
            let is_of_use = |slot: &Slot| match slot.try_lock() {
                Ok(token) => token.as_ref().is_some_and(|token| token.renew_at > now),
                Err(_) => true,
            };
            slots.retain(|_, slot| Rc::strong_count(slot) > 1 || is_of_use(slot));
            self.sweep_at.set(2 * slots.len() + 64);
        }
        Rc::clone(slots.entry(key).or_default())
    }

    fn key(&self, scope: &Scope) -> Key {
        let Some(push) = &scope.push else { return Key::Own(None) };
        let mut known = self.known.borrow_mut();
        let into = known.place(push) / self.group.get();
        match &scope.pull {
            Some(pull) if pull != push => {
                Key::Mounts { into, from: known.place(pull) / self.group.get() }
            }
            _ => Key::Own(Some(push.clone())),
        }
    }

    /// What a new token is to be for: what is needed, and for a mount the groups of both
    /// repositories, as far as there is room.
    fn wished(&self, scope: &Scope) -> Access {
        let mut wished = Access::needed(scope);
        let Key::Mounts { into, from } = self.key(scope) else { return wished };
        if into == from {
            wished.push.append(&mut wished.pull);
        }
        let mut names: usize = wished.names().map(|name| name.as_str().len()).sum();
        let (known, size) = (self.known.borrow(), self.group.get());
        let members = |group: usize| known.names.iter().skip(group * size).take(size);
        let pushed = members(into).map(|name| (true, name));
        let pulled = members(from).map(|name| (false, name));
        for (is_pushed, name) in pushed.chain(pulled) {
            let longer = names + name.as_str().len();
            if longer <= MAX_NAMES && !wished.names().any(|wished| wished == name) {
                let side = if is_pushed { &mut wished.push } else { &mut wished.pull };
                side.push(name.clone());
                names = longer;
            }
        }
        wished
    }
}

impl Known {
    fn place(&mut self, name: &Repository) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.names.push(name.clone());
        self.places.insert(name.clone(), self.names.len() - 1);
        self.names.len() - 1
    }
}

impl Access {
    /// What a request cannot do without.
    fn needed(scope: &Scope) -> Self {
        let pull = scope.pull.clone().filter(|pull| Some(pull) != scope.push.as_ref());
        Self { push: scope.push.iter().cloned().collect(), pull: pull.into_iter().collect() }
    }

    fn names(&self) -> impl Iterator<Item = &Repository> {
        self.push.iter().chain(&self.pull)
    }

    /// As the token specification writes scopes.
    fn parameters(&self) -> Vec<String> {
        let push = self.push.iter().map(|name| format!("repository:{name}:pull,push"));
        push.chain(self.pull.iter().map(|name| format!("repository:{name}:pull"))).collect()
    }
}

impl Token {
    fn serves(&self, scope: &Scope) -> bool {
        let is_for = |names: &[Repository], wanted: &Option<Repository>| {
            wanted.as_ref().is_none_or(|wanted| names.contains(wanted))
        };
        let is_pulled = is_for(&self.access.pull, &scope.pull);
        self.renew_at > Instant::now()
            && is_for(&self.access.push, &scope.push)
            && (is_pulled || is_for(&self.access.push, &scope.pull))
    }
}

/// Whether a token for fewer repositories may fare better: it is too long, or one of them, or their
/// number, is what the endpoint refuses.
fn is_too_much(given: &Result<Given, RequestError>) -> bool {
    const FOR_THE_REQUEST: [StatusCode; 6] = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::URI_TOO_LONG,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    ];
    match given {
        Ok(given) => given.value.len() > LONGEST_TOKEN,
        Err(error) => error.answer().is_some_and(|answer| FOR_THE_REQUEST.contains(&answer.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn scope(push: &str, pull: &str) -> Scope {
        Scope { push: push.parse().ok(), pull: pull.parse().ok() }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("team/image-{number}")).collect()
    }

    /// First each repository is pushed to, then each is mounted from into each.
    fn all_pairs(names: &[String]) -> Vec<Scope> {
        let own = names.iter().map(|name| scope(name, ""));
        let pairs = names.iter().flat_map(|to| names.iter().map(move |from| scope(to, from)));
        own.chain(pairs).collect()
    }

    #[test]
    fn groups_are_known_beforehand() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (tokens, count) = (Tokens::default(), Cell::new(0));
        let ask = async |scopes: &[String]| {
            count.set(count.get() + scopes.len());
            Ok(Given { value: "x".into(), lifetime: Duration::from_secs(300), date: None })
        };
        let names: Vec<Repository> = names(20).iter().map(|name| name.parse().unwrap()).collect();
        names.iter().for_each(|name| tokens.expect(name));
        let first = Scope { push: Some(names[0].clone()), pull: Some(names[19].clone()) };
        runtime.block_on(tokens.get(&first, ask)).unwrap();
        assert_eq!(count.get(), 20);
    }

    /// Asks for tokens, one after another, of an endpoint that makes them as long as it is told.
    fn requests(scopes: &[Scope], length: impl Fn(usize) -> usize) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (tokens, asked) = (Tokens::default(), RefCell::new(Vec::new()));
        let ask = async |scopes: &[String]| {
            asked.borrow_mut().push(scopes.to_vec());
            let value = "x".repeat(length(scopes.len()));
            Ok(Given { value, lifetime: Duration::from_secs(300), date: None })
        };
        for scope in scopes {
            runtime.block_on(tokens.get(scope, ask)).unwrap();
        }
        asked.into_inner()
    }

    #[test]
    fn a_token_is_for_a_repository_or_for_mounts_between_many() {
        let (a, b) = ("repository:a/a:pull,push", "repository:b:pull,push");
        let mut scopes = vec![
            Scope::default(),
            scope("a/a", ""),
            scope("a/a", "a/a"),
            scope("b", ""),
            scope("a/a", "b"),
            scope("b", "a/a"),
            scope("a/a", ""),
        ];
        let want: &[&[&str]] = &[&[], &[a], &[b], &[a, b]];
        assert_eq!(requests(&scopes, |_| 100), want);
        // One of another group.
        scopes.extend(names(10).iter().map(|name| scope(name, "")));
        scopes.extend([scope("a/a", "team/image-9"), scope("b", "team/image-8")]);
        let asked = requests(&scopes, |_| 100);
        let last = asked.last().unwrap();
        assert_eq!(last.len(), 12);
        assert_eq!(last[0], a);
        assert!(last.contains(&"repository:team/image-8:pull".to_owned()));
    }

    #[test]
    fn mounts_between_all_pairs_cost_few_tokens() {
        let asked = requests(&all_pairs(&names(40)), |repositories| 200 * repositories);
        assert_eq!(asked.len(), 40 + 4 * 4);
        assert!(asked.iter().all(|scopes| scopes.len() <= 2 * GROUP));
    }

    #[test]
    fn tokens_stay_short() {
        let long: Vec<_> = (0..30).map(|number| format!("{}/{number}", "x".repeat(200))).collect();
        for scopes in requests(&all_pairs(&long), |_| 100) {
            assert!(scopes.iter().map(String::len).sum::<usize>() < MAX_NAMES + 20 * 22);
        }
        // An endpoint that makes long ones is asked for fewer, soon for no more than is needed.
        let asked = requests(&all_pairs(&names(20)), |repositories| 3000 * repositories);
        let (last, pairs) = (&asked[asked.len() - 1], 20 * 19);
        assert_eq!(last.len(), 2);
        assert!(asked.len() < 20 + pairs + 8, "{}", asked.len());
    }

    #[test]
    fn a_token_that_was_refused_is_replaced_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (tokens, count) = (Tokens::default(), Cell::new(0));
        let ask = async |_: &[String]| {
            count.set(count.get() + 1);
            let value = count.get().to_string();
            Ok(Given { value, lifetime: Duration::from_secs(300), date: None })
        };
        let a = scope("a", "");
        runtime.block_on(async {
            assert_eq!(tokens.get(&a, ask).await.unwrap(), ("1".to_owned(), true));
            assert_eq!(tokens.get(&a, ask).await.unwrap(), ("1".to_owned(), false));
            tokens.forget(&a, "1").await;
            assert_eq!(tokens.get(&a, ask).await.unwrap(), ("2".to_owned(), true));
            tokens.forget(&a, "1").await;
            assert_eq!(tokens.get(&a, ask).await.unwrap(), ("2".to_owned(), false));
        });
    }
}
