//! Authentication as registries ask for it: Basic, or Bearer tokens of a token endpoint.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode};
use tranship_common::Repository;
use url::Url;

use super::{Accounts, Credentials, RequestError, Target};
use challenge::Challenge;
use token_endpoint::{Applicant, TokenEndpoint, date};
use tokens::Tokens;

mod challenge;
mod token_endpoint;
mod tokens;

pub(super) use tokens::Scope;

/// Clocks that are further apart make one machine refuse the tokens of another.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// What a request had with it.
#[derive(PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Password,
    /// A token, and whether it was given for this very request.
    Token {
        value: String,
        is_new: bool,
    },
}

/// What the target has asked for so far.
#[derive(Default)]
struct Asked {
    /// The password itself, wherever there is one.
    password: bool,
    /// A token of this endpoint.
    token: Option<Rc<TokenEndpoint>>,
}

pub(super) struct Auth {
    target: Target,
    accounts: Accounts,
    /// A token is had within this time.
    limit: Duration,
    asked: RefCell<Asked>,
    /// Those of each account, and of nobody.
    tokens: Vec<Tokens>,
    /// Seconds between the clocks of the registry and the token endpoint, if that is too much.
    clock_difference: Cell<u64>,
}

impl Auth {
    pub(super) fn new(target: Target, accounts: Accounts, limit: Duration) -> Self {
        let tokens = (0..=accounts.len()).map(|_| Tokens::default()).collect();
        Self {
            target,
            accounts,
            limit,
            asked: RefCell::default(),
            tokens,
            clock_difference: Cell::new(0),
        }
    }

    /// By how many seconds the clocks of the registry and the token endpoint differ, as far as that
    /// was a reason to refuse a token; else 0.
    pub(super) fn clock_difference(&self) -> u64 {
        self.clock_difference.get()
    }

    /// Whether the target asks for tokens, as far as it has asked.
    pub(super) fn is_by_token(&self) -> bool {
        self.asked.borrow().token.is_some()
    }

    /// Whether the target has asked for something as only Harbor does.
    pub(super) fn is_harbor(&self) -> bool {
        self.asked.borrow().token.as_ref().is_some_and(|endpoint| endpoint.is_of_harbor())
    }

    /// From now on the password goes with each request, where there is one. Harbor takes that
    /// everywhere at the same cost, and it neither expires nor lags behind rights that change.
    pub(super) fn prefer_password(&self) {
        self.asked.borrow_mut().password = true;
    }

    /// Whether there is anything to log in with.
    pub(super) fn has_credentials(&self) -> bool {
        self.accounts.place_for_host().is_some()
    }

    /// The account that is used, for messages.
    pub(super) fn account(&self) -> String {
        self.name(&Scope::default())
    }

    /// What is to be said of an account that was not let in.
    pub(super) fn refusal(&self, scope: &Scope) -> RequestError {
        let account = self.name(scope);
        // What a shell takes for a variable, and what people leave away.
        let may_be_robot = self.is_harbor() && !account.contains('$') && account != "admin";
        let hint = if may_be_robot {
            "; if it is a robot, give its whole name as Harbor shows it, with the prefix (`robot$`, \
             unless Harbor is set up with another), and put it between single quotes"
        } else {
            ""
        };
        RequestError::Credentials { target: self.target.to_string(), account, hint }
    }

    /// Takes note of repositories that requests will concern.
    pub(super) fn expect<'a>(&self, repositories: impl Iterator<Item = &'a Repository>) {
        for repository in repositories {
            let place = self.accounts.place_for(repository).unwrap_or(self.accounts.len());
            self.tokens[place].expect(repository);
        }
    }

    /// Adds what the target has asked for so far, and tells what that is.
    pub(super) async fn authorize(
        &self,
        http: &Client,
        request: RequestBuilder,
        scope: &Scope,
    ) -> Result<(RequestBuilder, Shown), RequestError> {
        let credentials = self.credentials(scope);
        let (password, token) = {
            let asked = self.asked.borrow();
            (asked.password, asked.token.clone())
        };
        match (credentials, token) {
            (Some(Credentials::Password { username, password: secret }), _) if password => {
                Ok((request.basic_auth(username, Some(secret)), Shown::Password))
            }
            // Whoever has no account gets tokens for repositories alone.
            (None, _) if scope.push.is_none() => Ok((request, Shown::Nothing)),
            (credentials, Some(endpoint)) => {
                let (target, limit) = (&self.target, self.limit);
                let applicant = Applicant { http, target, credentials, limit };
                let ask = async |scopes: &[String]| endpoint.ask(applicant, scopes).await;
                let got = self.tokens(scope).get(scope, ask).await;
                let (value, is_new) = got.map_err(|error| self.token_error(scope, error))?;
                Ok((request.bearer_auth(&value), Shown::Token { value, is_new }))
            }
            (_, None) => Ok((request, Shown::Nothing)),
        }
    }

    /// Takes notice of a 401 to a request of this scope, and tells whether it is worth sending
    /// again: the target asks for what was not shown, or the token was perhaps too old.
    ///
    /// # Errors
    /// When what the target asks for cannot be shown to it.
    pub(super) async fn refused(
        &self,
        headers: &HeaderMap,
        scope: &Scope,
        shown: &Shown,
    ) -> Result<bool, RequestError> {
        match shown {
            Shown::Token { is_new: true, .. } => {
                self.compare_clocks(headers, scope, shown).await;
                return Ok(false);
            }
            Shown::Token { value, .. } => {
                self.tokens(scope).forget(scope, value).await;
                return Ok(true);
            }
            // It may be locked for a moment, which is for others to find out.
            Shown::Password if self.is_harbor() => return Ok(false),
            Shown::Password | Shown::Nothing => {}
        }
        let challenges = Challenge::all(headers);
        let credentials = self.credentials(scope);
        // One that was shown and refused is no better the second time.
        let has_password =
            matches!(credentials, Some(Credentials::Password { .. })) && *shown == Shown::Nothing;
        let mut obstacle = None;
        for endpoint in challenges.iter().filter_map(token_endpoint) {
            let takes_password = endpoint.is_of_harbor() && has_password;
            if credentials.is_none()
                || takes_password
                || self.target.may_hear_secrets(&endpoint.realm)
            {
                let mut asked = self.asked.borrow_mut();
                asked.password =
                    if credentials.is_some() { takes_password } else { asked.password };
                asked.token = Some(Rc::new(endpoint));
                return Ok(credentials.is_some() || scope.push.is_some());
            }
            obstacle.get_or_insert_with(|| self.in_the_clear(&endpoint));
        }
        let written = challenge::as_written(headers);
        // Some forget to say what they ask for; a password is the usual thing.
        let is_password = written.is_empty() || challenges.iter().any(|asked| asked.is("basic"));
        if is_password && has_password {
            self.asked.borrow_mut().password = true;
        } else if !is_password && *shown == Shown::Nothing {
            let what = obstacle.unwrap_or_else(|| {
                format!(
                    "it asks for `{written}`, which cannot be answered: that takes Basic, or Bearer \
                     with the address of a token endpoint as its realm"
                )
            });
            return Err(RequestError::Login { target: self.target.to_string(), what });
        }
        Ok(is_password && has_password)
    }

    /// Finds out whether a token that was just given is refused since two clocks differ.
    pub(super) async fn compare_clocks(&self, refusal: &HeaderMap, scope: &Scope, shown: &Shown) {
        let Shown::Token { value, .. } = shown else { return };
        let expected = self.tokens(scope).time_there(scope, value).await;
        let Some((expected, refused)) = expected.zip(date(refusal)) else { return };
        let difference =
            refused.duration_since(expected).unwrap_or_else(|behind| behind.duration());
        let too_much = if difference > CLOCK_TOLERANCE { difference.as_secs() } else { 0 };
        self.clock_difference.set(too_much);
    }

    /// The number of the account that a request is sent as; one beyond them for nobody.
    fn place(&self, scope: &Scope) -> usize {
        let place = match &scope.push {
            Some(repository) => self.accounts.place_for(repository),
            None => self.accounts.place_for_host(),
        };
        place.unwrap_or(self.accounts.len())
    }

    fn credentials(&self, scope: &Scope) -> Option<&Credentials> {
        self.accounts.get(self.place(scope))
    }

    fn name(&self, scope: &Scope) -> String {
        self.credentials(scope).map_or_else(|| "anonymous".into(), Credentials::name)
    }

    fn tokens(&self, scope: &Scope) -> &Tokens {
        &self.tokens[self.place(scope)]
    }

    /// What a token endpoint's refusal means.
    fn token_error(&self, scope: &Scope, error: RequestError) -> RequestError {
        let is_refusal =
            |answer: &super::Answer| answer.status == StatusCode::UNAUTHORIZED && !answer.anonymous;
        if error.answer().is_some_and(is_refusal) { self.refusal(scope) } else { error }
    }

    fn in_the_clear(&self, endpoint: &TokenEndpoint) -> String {
        let (name, setting) = (endpoint.name(), endpoint.setting());
        let otherwise = match self.target.is_https() {
            true => "",
            false => ", or allow that with --plain-http",
        };
        format!(
            "it sends to {name} for tokens, where the password would travel unencrypted: set \
             {setting} to an https:// address{otherwise}"
        )
    }
}

/// The endpoint that a challenge names, if it is one of tokens.
fn token_endpoint(challenge: &Challenge) -> Option<TokenEndpoint> {
    if !challenge.is("bearer") {
        return None;
    }
    let realm = Url::parse(challenge.parameter("realm")?.trim()).ok()?;
    let can_be_asked = matches!(realm.scheme(), "http" | "https");
    let service = challenge.parameter("service").map(str::to_owned);
    can_be_asked.then_some(TokenEndpoint { realm, service })
}
