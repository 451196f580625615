//! Who does something, when and from where: what every event and job of a change has in common.

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::crypto::chain;
use crate::crypto::random::Random;
use crate::crypto::seal::{Place, Sealer};
use crate::domain::event::{Action, Actor, Event, Subject};
use crate::domain::ids::{EventId, JobId};
use crate::domain::job::{NewJob, Task};
use crate::domain::session::Origin;
use crate::domain::signup::MailPolicy;
use crate::domain::time::Timestamp;
use crate::domain::trail::details_spelled;

/// The column of sealed job payloads.
pub(crate) const JOB_PAYLOAD: &str = "jobs.payload";

/// Who does something, when and from where. A change that is repeated keeps its stamp.
#[derive(Clone)]
pub struct Stamp {
    /// The moment of the change.
    pub now: Timestamp,
    /// Who does it.
    pub actor: Actor,
    /// Where it came from.
    pub origin: Origin,
    random: Random,
    sealer: Sealer,
    mail_limits: Option<MailPolicy>,
}

impl Stamp {
    /// A stamp of this moment.
    pub fn new(app: &App, actor: Actor, origin: Origin) -> Self {
        Self {
            now: app.clock.now(),
            actor,
            origin,
            random: app.random.clone(),
            sealer: app.sealer.clone(),
            mail_limits: app.settings.mail_limits,
        }
    }

    /// The same, done by somebody who turned out to be `actor`.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// How much a mailbox may be sent; `None` where nothing is limited.
    pub(super) fn mail_limits(&self) -> Option<MailPolicy> {
        self.mail_limits
    }

    /// A hash that only this installation can make.
    pub(super) fn keyed_hash(&self, purpose: &'static str, data: &[u8]) -> [u8; 32] {
        self.sealer.keyed_hash(purpose, data)
    }

    /// A line of the trail.
    pub fn event(
        &self,
        action: Action,
        subject: Subject,
        data: Map<String, Value>,
    ) -> Result<Event, Fault> {
        let address = (!self.origin.address.is_empty()).then(|| self.origin.address.clone());
        let details_key: [u8; 32] = self.random.bytes();
        let spelled = details_spelled(address.as_deref(), &data);
        Ok(Event {
            id: EventId(self.random.uuid(self.now)),
            at: self.now,
            actor: self.actor.clone(),
            action,
            subject,
            request_id: self.origin.request_id.clone(),
            details_hash: chain::details(&details_key, &spelled),
            details_key,
            address,
            data,
        })
    }

    /// A job that carries out `task`, its payload sealed and bound to the job's id.
    pub fn job(&self, task: &Task) -> Result<NewJob, Fault> {
        if !Task::KINDS.contains(&task.kind()) {
            return Err(Fault::internal(format!("no worker would claim a {} job", task.kind())));
        }
        let id = JobId(self.random.uuid(self.now));
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(task).map_err(Fault::internal)?);
        Ok(NewJob {
            id,
            kind: task.kind(),
            priority: task.priority(),
            payload: self.sealer.seal(Place::new(JOB_PAYLOAD, id.0.as_bytes()), &plain)?,
            dedupe_key: None,
            created_at: self.now,
        })
    }
}
