//! Secret values, on this node: asked for when an instance needs them, kept in memory while it is
//! assigned here, never written down by this module and never printed.
//!
//! Knows which values are wanted and which were answered. Refuses to know the connection: the
//! session takes the questions from here and brings the answers back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use devnet_schema::{
    name::InstanceId,
    secret::{InTransit, SecretRef, Sensitive, Text},
    wire::AgentMessage,
};
use tokio::sync::{Notify, oneshot};

/// Why a value cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The control plane said no.
    #[error("the control plane does not give the secrets of {instance}: {reason}")]
    Refused {
        /// For whom they were wanted.
        instance: InstanceId,
        /// Its words.
        reason: String,
    },
    /// The answer lacks one.
    #[error("{0} is not known to the control plane; set it with `devnet secret set`")]
    Missing(SecretRef),
    /// No answer came.
    #[error(
        "the control plane did not answer within {0} s when asked for secrets; check that it runs"
    )]
    NoAnswer(u64),
}

/// Values by reference.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<SecretRef, Sensitive<String>>);

/// The shortest value that [`Values::redact`] looks for, in bytes: shorter ones are in every text.
const MIN_REDACTED: usize = 4;

impl Values {
    /// A text with its secrets filled in.
    ///
    /// # Errors
    /// When one is not among the values.
    pub fn fill(&self, text: &Text) -> Result<Sensitive<String>, SecretError> {
        text.resolve(|secret| self.0.get(secret).map(|value| value.expose().as_str())).ok_or_else(
            || {
                let missing = text.secrets().find(|secret| !self.0.contains_key(secret));
                SecretError::Missing(missing.cloned().unwrap_or_else(|| {
                    unreachable!("a text resolves when all of its secrets have values")
                }))
            },
        )
    }

    /// The text without any of the values in it, for errors that an engine wrote.
    pub fn redact(&self, text: &str) -> String {
        let mut shapes: Vec<String> = Vec::new();
        for value in self.0.values().map(Sensitive::expose) {
            if value.len() >= MIN_REDACTED {
                // Engines quote what they report, and a quoted value has other bytes.
                let quoted = serde_json::to_string(value).unwrap_or_default();
                let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                shapes.extend(inside.map(str::to_owned));
                shapes.push(value.clone());
            }
        }
        // A value may be part of another: the longer one goes first, or its rest would stay.
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.len()));
        let shapes = shapes.iter().filter(|shape| !shape.is_empty());
        shapes.fold(text.to_owned(), |out, shape| out.replace(shape, "(sensitive value)"))
    }
}

impl FromIterator<(SecretRef, Sensitive<String>)> for Values {
    fn from_iter<I: IntoIterator<Item = (SecretRef, Sensitive<String>)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

struct Question {
    instance: InstanceId,
    wanted: Vec<SecretRef>,
    sent: bool,
    answer: oneshot::Sender<Result<(), SecretError>>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<SecretRef, Sensitive<String>>,
    questions: BTreeMap<u64, Question>,
    next: u64,
}

/// The values this node has, and the questions it has open.
#[derive(Default)]
pub struct Secrets {
    state: Mutex<State>,
    asked: Notify,
}

impl Secrets {
    /// The values of `wanted`, asked for when they are not here yet. Waits for a connection and an
    /// answer, for ever: a supervisor has nothing better to do.
    ///
    /// # Errors
    /// When the control plane refuses, or does not know one.
    pub async fn values(
        &self,
        instance: &InstanceId,
        wanted: &[SecretRef],
    ) -> Result<Values, SecretError> {
        let pending = {
            let mut state = self.lock();
            let lacking = state.missing(wanted).next().is_some();
            lacking.then(|| state.ask(instance, wanted))
        };
        if let Some(answer) = pending {
            self.asked.notify_one();
            answer.await.unwrap_or_else(|_| {
                let reason = "the agent is stopping".to_owned();
                Err(SecretError::Refused { instance: instance.clone(), reason })
            })?;
        }
        let state = self.lock();
        if let Some(missing) = state.missing(wanted).next() {
            return Err(SecretError::Missing(missing.clone()));
        }
        Ok(wanted.iter().map(|one| (one.clone(), state.known[one].clone())).collect())
    }

    /// As [`Secrets::values`], for steps, which somebody waits for.
    ///
    /// # Errors
    /// As there, and when no answer comes within `patience`.
    pub async fn values_within(
        &self,
        instance: &InstanceId,
        wanted: &[SecretRef],
        patience: Duration,
    ) -> Result<Values, SecretError> {
        tokio::time::timeout(patience, self.values(instance, wanted))
            .await
            .unwrap_or(Err(SecretError::NoAnswer(patience.as_secs())))
    }

    /// Returns when there may be questions to send.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The questions that were not sent on this connection yet; they count as sent afterwards.
    pub fn take_questions(&self) -> Vec<AgentMessage> {
        let mut state = self.lock();
        state.questions.retain(|_, question| !question.answer.is_closed());
        let unsent = state.questions.iter_mut().filter(|(_, question)| !question.sent);
        unsent
            .map(|(request, question)| {
                question.sent = true;
                AgentMessage::NeedSecrets {
                    request: *request,
                    instance: question.instance.clone(),
                    secrets: question.wanted.clone(),
                }
            })
            .collect()
    }

    /// The connection ended: open questions are asked again on the next one.
    pub fn disconnected(&self) {
        self.lock().questions.values_mut().for_each(|question| question.sent = false);
        self.asked.notify_one();
    }

    /// Takes an answer. One that nobody asked for is dropped.
    pub fn answer(
        &self,
        request: u64,
        mut values: BTreeMap<String, InTransit>,
        error: Option<String>,
    ) {
        let mut state = self.lock();
        let Some(question) = state.questions.remove(&request) else {
            return;
        };
        let Question { instance, wanted, answer, sent: _ } = question;
        for secret in wanted {
            if let Some(value) = values.remove(secret.name.as_str()) {
                state.known.insert(secret, Sensitive::new(value.expose().to_owned()));
            }
        }
        let result = match error {
            None => Ok(()),
            Some(reason) => Err(SecretError::Refused { instance, reason }),
        };
        // The asker may have given up; the values are kept for the next one.
        let _ = answer.send(result);
    }

    /// Forgets every value that nothing on this node refers to any more.
    pub fn retain(&self, wanted: &BTreeSet<SecretRef>) {
        self.lock().known.retain(|secret, _| wanted.contains(secret));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn missing<'a>(&'a self, wanted: &'a [SecretRef]) -> impl Iterator<Item = &'a SecretRef> {
        wanted.iter().filter(|secret| !self.known.contains_key(secret))
    }

    fn ask(
        &mut self,
        instance: &InstanceId,
        wanted: &[SecretRef],
    ) -> oneshot::Receiver<Result<(), SecretError>> {
        let (answer, receiver) = oneshot::channel();
        self.next += 1;
        let wanted = self.missing(wanted).cloned().collect();
        let question = Question { instance: instance.clone(), wanted, sent: false, answer };
        self.questions.insert(self.next, question);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use devnet_schema::secret::Part;

    use super::*;

    fn secret(version: u64) -> SecretRef {
        SecretRef { name: "pw".parse().unwrap(), version }
    }

    fn db() -> InstanceId {
        "db[0]".parse().unwrap()
    }

    fn answer(secrets: &Secrets, value: &str) {
        let [AgentMessage::NeedSecrets { request, .. }] = &secrets.take_questions()[..] else {
            panic!("one question is open");
        };
        let values = BTreeMap::from([("pw".to_owned(), InTransit::new(value.to_owned()))]);
        secrets.answer(*request, values, None);
    }

    #[tokio::test]
    async fn values_are_asked_for_once_and_again_after_a_disconnect() {
        let secrets = Arc::new(Secrets::default());
        let asker = {
            let secrets = secrets.clone();
            tokio::spawn(async move { secrets.values(&db(), &[secret(1)]).await })
        };
        secrets.asked().await;
        assert_eq!(secrets.take_questions().len(), 1);
        assert!(secrets.take_questions().is_empty(), "it was sent");
        secrets.disconnected();
        answer(&secrets, "hunter2");
        let values = asker.await.unwrap().unwrap();
        let text = Text(vec![Part::Plain("x=".into()), Part::Secret(secret(1))]);
        assert_eq!(values.fill(&text).unwrap().expose(), "x=hunter2");
        assert_eq!(values.redact("bad env x=hunter2"), "bad env x=(sensitive value)");
        secrets.values(&db(), &[secret(1)]).await.unwrap();
        assert!(secrets.take_questions().is_empty(), "a known value is not asked for");
    }

    #[test]
    fn quoted_and_nested_values_are_redacted_too() {
        let values = [(1, "ab\"c\\d\""), (2, "hunter"), (3, "hunter22"), (4, "abc")];
        let values: Values = values
            .map(|(version, value)| (secret(version), Sensitive::new(value.to_owned())))
            .into_iter()
            .collect();
        let hidden = "(sensitive value)";
        assert_eq!(values.redact("hunter22 hunter"), format!("{hidden} {hidden}"));
        let quoted = serde_json::to_string("x=ab\"c\\d\"").unwrap();
        assert_eq!(values.redact(&quoted), format!("\"x={hidden}\""));
        assert_eq!(values.redact("abc is too short to look for"), "abc is too short to look for");
    }

    #[tokio::test]
    async fn another_version_is_another_value_and_unused_ones_are_forgotten() {
        let secrets = Secrets::default();
        let ask = async |version| {
            let (id, wanted) = (db(), [secret(version)]);
            let (values, ()) = tokio::join!(secrets.values(&id, &wanted), async {
                secrets.asked().await;
                answer(&secrets, "value");
            });
            values.unwrap();
        };
        ask(1).await;
        ask(2).await;
        secrets.retain(&BTreeSet::from([secret(2)]));
        secrets.values(&db(), &[secret(2)]).await.unwrap();
        ask(1).await;
    }

    #[tokio::test]
    async fn a_refusal_and_a_missing_value_name_what_they_are_about() {
        let secrets = Secrets::default();
        let (id, wanted) = (db(), [secret(1)]);
        let (values, ()) = tokio::join!(secrets.values(&id, &wanted), async {
            secrets.asked().await;
            secrets.take_questions();
            secrets.answer(1, BTreeMap::new(), Some("not yours".to_owned()));
        });
        assert!(values.err().unwrap().to_string().contains("db[0]: not yours"));
        let (values, ()) = tokio::join!(secrets.values(&id, &wanted), async {
            secrets.asked().await;
            secrets.take_questions();
            secrets.answer(2, BTreeMap::new(), None);
        });
        assert_eq!(values.err().unwrap(), SecretError::Missing(secret(1)));
        let text = Text(vec![Part::Secret(secret(9))]);
        let missing = Values::default().fill(&text).err().unwrap();
        assert_eq!(missing, SecretError::Missing(secret(9)));
    }

    #[tokio::test]
    async fn a_step_does_not_wait_for_ever() {
        let secrets = Secrets::default();
        let within = Duration::from_millis(20);
        let error = secrets.values_within(&db(), &[secret(1)], within).await.err().unwrap();
        assert_eq!(error, SecretError::NoAnswer(0));
        assert!(secrets.take_questions().is_empty(), "the question went with its asker");
    }
}
