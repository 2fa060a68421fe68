//! Secret values, on this node: asked for when an instance needs them, kept in memory while it is
//! assigned here, never written down by this module and never printed.
//!
//! Knows which values are wanted and which were answered. Refuses to know the connection: the
//! session takes the questions from here and brings the answers back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use devnet_schema::{
    name::InstanceId,
    secret::{InTransit, SecretRef, Sensitive, Text},
    wire::AgentMessage,
};
use tokio::sync::{Notify, oneshot};

use crate::redaction::{NOT_HERE, Shapes, TOO_SHORT};

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

impl Values {
    /// A text with its secrets filled in.
    ///
    /// # Errors
    /// When one is not among the values.
    pub fn fill(&self, text: &Text) -> Result<Sensitive<String>, SecretError> {
        text.resolve(|secret| self.0.get(secret).map(|value| value.expose().as_str()))
            .map_err(|missing| SecretError::Missing(missing.clone()))
    }

    /// What an engine or a library said about a unit of these values, without them. Where one is
    /// too short to be found, the words are kept back.
    pub fn redact(&self, text: &str) -> String {
        let shapes = self.shapes();
        match shapes.has_short() {
            true => TOO_SHORT.to_owned(),
            false => shapes.hide(text),
        }
    }

    /// The beginning of what a unit's command wrote, at most `limit` bytes, on one line for each of
    /// its own. `text` was read up to some size; where that cut a value, its beginning goes, too.
    pub fn quote(&self, text: &[u8], limit: usize) -> String {
        let shapes = self.shapes();
        let text = String::from_utf8_lossy(text);
        match text.trim() {
            "" => String::new(),
            _ if shapes.has_short() => TOO_SHORT.to_owned(),
            text => clip(&shapes.hide_cut(text), limit),
        }
    }

    fn shapes(&self) -> Shapes {
        Shapes::of(self.0.values().map(|value| value.expose().as_str()))
    }
}

/// At most so many bytes, and no half character.
fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.trim().to_owned();
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text[..end].trim())
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
    /// The forms of what is known.
    shapes: Arc<Shapes>,
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
        state.look_again();
        let result = match error {
            None => Ok(()),
            Some(reason) => Err(SecretError::Refused { instance, reason }),
        };
        // The asker may have given up; the values are kept for the next one.
        let _ = answer.send(result);
    }

    /// Forgets every value that nothing on this node refers to any more.
    pub fn retain(&self, wanted: &BTreeSet<SecretRef>) {
        let mut state = self.lock();
        state.known.retain(|secret, _| wanted.contains(secret));
        state.look_again();
    }

    /// The text without any value that this agent has, whatever unit it is of.
    pub fn hide(&self, text: &str) -> String {
        let shapes = self.lock().shapes.clone();
        shapes.hide(text)
    }

    /// As [`Secrets::hide`], for a text that was cut: its end may be the beginning of a value.
    pub fn hide_cut(&self, text: &str) -> String {
        let shapes = self.lock().shapes.clone();
        shapes.hide_cut(text)
    }

    /// What somebody said about a unit that has these secrets (`None`: it is not known which),
    /// without them. The words are kept back where a value is not here or too short to be found.
    pub fn redact(&self, wanted: Option<&[SecretRef]>, text: &str) -> String {
        self.here(wanted).map_or_else(|| NOT_HERE.to_owned(), |values| values.redact(text))
    }

    /// As [`Values::quote`], for a unit that has these secrets (`None`: it is not known which). The
    /// words are kept back where a value is not here.
    pub fn quote(&self, wanted: Option<&[SecretRef]>, text: &[u8], limit: usize) -> String {
        match self.here(wanted) {
            Some(values) => values.quote(text, limit),
            None if text.trim_ascii().is_empty() => String::new(),
            None => NOT_HERE.to_owned(),
        }
    }

    /// The values of `wanted`, when all of them are here.
    fn here(&self, wanted: Option<&[SecretRef]>) -> Option<Values> {
        let state = self.lock();
        let value = |one: &SecretRef| Some((one.clone(), state.known.get(one)?.clone()));
        wanted?.iter().map(value).collect::<Option<Vec<_>>>().map(Values::from_iter)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// The values changed.
    fn look_again(&mut self) {
        let values = self.known.values().map(|value| value.expose().as_str());
        self.shapes = Arc::new(Shapes::of(values));
    }

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
        let values = [(1, "ab\"c\\d\""), (2, "hunter"), (3, "hunter22")];
        let values: Values = values
            .map(|(version, value)| (secret(version), Sensitive::new(value.to_owned())))
            .into_iter()
            .collect();
        let hidden = "(sensitive value)";
        assert_eq!(values.redact("hunter22 hunter"), format!("{hidden} {hidden}"));
        let quoted = serde_json::to_string("x=ab\"c\\d\"").unwrap();
        assert_eq!(values.redact(&quoted), format!("\"x={hidden}\""));
    }

    #[test]
    fn words_that_may_hold_a_value_which_cannot_be_found_are_kept_back() {
        let secrets = Secrets::default();
        let (wanted, none) = ([secret(1)], Some(&[][..]));
        let wanted = Some(&wanted[..]);
        assert_eq!(secrets.redact(None, "exec: x"), NOT_HERE, "it is not known what it has");
        assert_eq!(secrets.redact(wanted, "exec: x"), NOT_HERE);
        assert_eq!(secrets.quote(wanted, b"refused x\n", 512), NOT_HERE);
        assert_eq!(secrets.quote(wanted, b" \n", 512), "", "nothing is nothing");
        assert_eq!(secrets.quote(none, b"refused\n", 512), "refused");
        secrets.lock().known.insert(secret(1), Sensitive::new("pin".to_owned()));
        assert_eq!(secrets.redact(wanted, "exec: pin"), TOO_SHORT);
        assert_eq!(secrets.quote(wanted, b"pin", 512), TOO_SHORT);
        assert_eq!(secrets.redact(none, "another unit's words"), "another unit's words");
    }

    #[test]
    fn a_long_output_is_cut_and_no_value_with_it() {
        let values = Values::from_iter([(secret(1), Sensitive::new("correct horse".to_owned()))]);
        let cut = values.quote(b"the password is: correct hor", 512);
        assert_eq!(cut, "the password is:");
        let long = "x".repeat(20) + " correct horse";
        assert_eq!(values.quote(long.as_bytes(), 10), format!("{}…", "x".repeat(10)));
        assert_eq!(values.quote("ééé".as_bytes(), 3), "é…");
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
