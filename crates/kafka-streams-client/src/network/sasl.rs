//! Authentication of a new connection: SaslHandshake, then SaslAuthenticate until both sides are content (KIP-152).

use bytes::Bytes;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, SessionError, State};
use rsasl::property::{AuthId, Password};

use super::settings::{Sasl, SaslMechanism};

/// More rounds than any of our mechanisms takes.
pub(super) const ROUNDS: usize = 5;

/// Fewer iterations would make the password easy to guess for who listens (Kafka's `ScramMechanism` has the same bound).
const ITERATIONS_MIN: u64 = 4_096;
/// More would keep a processor busy for a second and longer: no broker asks for it, an impostor may.
const ITERATIONS_MAX: u64 = 1_000_000;

/// Our side of one authentication.
pub(super) struct Authentication {
    session: rsasl::prelude::Session,
    mechanism: SaslMechanism,
    finished: bool,
}

/// What to do after a step.
pub(super) enum Step {
    /// Send this to the broker, then take its answer as the next challenge.
    Send(Bytes),
    /// The broker has proved itself as far as the mechanism wants it.
    Done,
}

impl Authentication {
    /// Prepares to authenticate.
    ///
    /// # Errors
    /// Why the credentials cannot be used.
    pub(super) fn new(sasl: &Sasl) -> Result<Self, String> {
        let credentials = Credentials { username: sasl.username.clone(), password: sasl.password.expose().to_owned() };
        let config = SASLConfig::builder()
            .with_default_mechanisms()
            .with_callback(credentials)
            .map_err(|error| error.to_string())?;
        let name = Mechname::parse(sasl.mechanism.name().as_bytes()).map_err(|error| error.to_string())?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|error| error.to_string())?;
        Ok(Authentication { session, mechanism: sasl.mechanism, finished: false })
    }

    /// The answer to the broker's challenge; `None` begins.
    ///
    /// # Errors
    /// What is wrong with the challenge, or with the proof that the broker knows the password too.
    pub(super) fn step(&mut self, challenge: Option<&[u8]>) -> Result<Step, String> {
        if self.finished {
            return Ok(Step::Done);
        }
        if let (Some(challenge), true) = (challenge, self.mechanism != SaslMechanism::Plain) {
            check_iterations(challenge)?;
        }
        let mut answer = Vec::new();
        let state = self.session.step(challenge, &mut answer).map_err(|error| error.to_string())?;
        match state {
            State::Running => Ok(Step::Send(Bytes::from(answer))),
            State::Finished(sent) => {
                self.finished = true;
                let send = matches!(sent, rsasl::prelude::MessageSent::Yes);
                Ok(if send { Step::Send(Bytes::from(answer)) } else { Step::Done })
            }
        }
    }
}

/// Refuses a SCRAM server-first message (`r=…,s=…,i=4096`) with an iteration count out of bounds.
fn check_iterations(challenge: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(challenge);
    let Some(count) = text.split(',').find_map(|field| field.strip_prefix("i=")) else { return Ok(()) };
    match count.parse::<u64>() {
        Ok(count) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&count) => Ok(()),
        _ => Err(format!("it wants {count} SCRAM iterations: expected {ITERATIONS_MIN} to {ITERATIONS_MAX}")),
    }
}

struct Credentials {
    username: String,
    password: String,
}

impl SessionCallback for Credentials {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.username)?.satisfy::<Password>(self.password.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Secret;

    fn authentication(mechanism: SaslMechanism) -> Authentication {
        Authentication::new(&Sasl { mechanism, username: "alice".into(), password: Secret::new("wonder,=land") })
            .unwrap()
    }

    #[test]
    fn plain_sends_user_and_password_once() {
        let mut ours = authentication(SaslMechanism::Plain);
        let Ok(Step::Send(sent)) = ours.step(None) else { panic!() };
        assert_eq!(&sent[..], b"\0alice\0wonder,=land");
        assert!(matches!(ours.step(Some(b"")), Ok(Step::Done)));
    }

    #[test]
    fn scram_refuses_iteration_counts_out_of_bounds() {
        for count in ["1", "4095", "1000001", "4294967295", "-1", "x", ""] {
            let mut ours = authentication(SaslMechanism::ScramSha256);
            let Ok(Step::Send(first)) = ours.step(None) else { panic!() };
            let first = String::from_utf8(first.to_vec()).unwrap();
            let nonce = first.split(',').find_map(|field| field.strip_prefix("r=")).unwrap();
            let challenge = format!("r={nonce}abc,s=c2FsdA==,i={count}");
            let Err(error) = ours.step(Some(challenge.as_bytes())) else { panic!("{count}") };
            assert!(error.contains("iterations"), "{error}");
        }
    }

    #[test]
    fn scram_refuses_a_foreign_nonce_and_garbage() {
        for challenge in ["r=foreign,s=c2FsdA==,i=4096", "", "garbage", "e=other-error"] {
            let mut ours = authentication(SaslMechanism::ScramSha512);
            assert!(matches!(ours.step(None), Ok(Step::Send(_))));
            assert!(ours.step(Some(challenge.as_bytes())).is_err(), "{challenge}");
        }
    }
}
