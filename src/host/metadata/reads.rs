//! One question at a time, whose answer outlives the one who asked.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Facts, MetadataError};
use crate::base::{Life, Tasks};

/// How long an answer is kept for those who ask again: hosts do after 5 ms. No longer, because a resume of a guest that
/// was not frozen may lie between two of them, and no clock of the guest shows that.
const KEPT: Duration = Duration::from_secs(1);

/// Holds what one question brought.
#[derive(Clone, Debug)]
pub struct Read {
    /// When it was asked: what the host changed before is in the answer.
    pub began: Instant,
    /// What was told.
    pub result: Result<Facts, Arc<MetadataError>>,
}

/// Tells apart what a pause may lie between: before the freeze, while programs stand still, after the thaw.
///
/// The number of the life alone does not: it counts up with the thaw, and hosts set up a guest before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Era {
    generation: u64,
    partings: u64,
    is_still: bool,
}

impl From<Life> for Era {
    fn from(life: Life) -> Self {
        Self { generation: life.generation, partings: life.partings, is_still: life.phase.is_still() }
    }
}

/// Keeps the question that was asked last.
#[derive(Debug, Default)]
pub(super) struct Reads {
    last: Mutex<Option<Question>>,
}

#[derive(Clone, Debug)]
struct Question {
    began: Instant,
    era: Era,
    answer: watch::Receiver<Option<Answer>>,
}

#[derive(Clone, Debug)]
struct Answer {
    came: Instant,
    result: Result<Facts, Arc<MetadataError>>,
}

impl Question {
    fn is_fresh(&self, era: Era, since: Option<Instant>) -> bool {
        let is_kept = self.answer.borrow().as_ref().is_none_or(|answer| answer.came.elapsed() <= KEPT);
        self.era == era && since.is_none_or(|since| self.began >= since) && is_kept
    }
}

impl Reads {
    /// Gives the answer to a question that is open or was answered a moment ago, else asks. One that was asked before
    /// the guest was frozen, or before the thaw, does not count, nor does its connection; with `since`, only one that
    /// was asked from then on will do. Cancelling it leaves the question open.
    pub(super) async fn get<F>(
        &self,
        life: Life,
        since: Option<Instant>,
        tasks: &Tasks,
        ask: impl FnOnce() -> F,
    ) -> Read
    where
        F: Future<Output = Result<Facts, MetadataError>> + Send + 'static,
    {
        let mut question = self.join(life.into(), since, tasks, ask);
        let answer = question.answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        let result = answer.map_or_else(|| Err(Arc::new(MetadataError::ShuttingDown)), |answer| answer.result);
        Read { began: question.began, result }
    }

    fn join<F>(&self, era: Era, since: Option<Instant>, tasks: &Tasks, ask: impl FnOnce() -> F) -> Question
    where
        F: Future<Output = Result<Facts, MetadataError>> + Send + 'static,
    {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(question) = last.as_ref().filter(|question| question.is_fresh(era, since)) {
            return question.clone();
        }
        let (tell, answer) = watch::channel(None);
        let asked = ask();
        tasks.spawn(async move {
            let result = asked.await.map_err(Arc::new);
            tell.send_replace(Some(Answer { came: Instant::now(), result }));
        });
        last.insert(Question { began: Instant::now(), era, answer }).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::Phase;

    #[derive(Default)]
    struct Service {
        reads: Reads,
        tasks: Tasks,
        asked: Arc<AtomicUsize>,
    }

    impl Service {
        async fn get(&self, since: Option<Instant>) -> String {
            self.get_in(Life::default(), since).await
        }

        async fn get_in(&self, life: Life, since: Option<Instant>) -> String {
            let asked = Arc::clone(&self.asked);
            let ask = move || async move {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(130)).await;
                Ok(Facts { sandbox: number.to_string(), ..Facts::default() })
            };
            self.reads.get(life, since, &self.tasks, ask).await.result.unwrap().sandbox
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_longer_than_each_caller_waits_is_found_by_the_last() {
        let service = Service::default();
        for _ in 0..2 {
            let given_up = tokio::time::timeout(Duration::from_millis(50), service.get(None)).await;
            assert!(given_up.is_err());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let found = tokio::time::timeout(Duration::from_millis(50), service.get(None)).await;
        assert_eq!((found.as_deref(), service.asked.load(Ordering::Relaxed)), (Ok("0"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_moment_and_never_for_those_who_want_a_later_one() {
        let service = Service::default();
        assert_eq!(service.get(None).await, "0");
        assert_eq!(service.get(None).await, "0");
        tokio::time::sleep(KEPT + Duration::from_millis(1)).await;
        assert_eq!(service.get(None).await, "1");
        let now = Instant::now();
        assert_eq!(service.get(Some(now)).await, "2");
        assert_eq!(service.get(Some(now)).await, "2");
    }

    #[tokio::test(start_paused = true)]
    async fn neither_an_answer_nor_a_question_goes_with_the_guest_into_another_life() {
        let service = Service::default();
        let lives = [(Phase::Running, 0), (Phase::Frozen, 0), (Phase::Running, 1)];
        for (number, (phase, generation)) in lives.into_iter().enumerate() {
            let life = Life { phase, generation, ..Life::default() };
            let given_up = tokio::time::timeout(Duration::from_millis(50), service.get_in(life, None)).await;
            assert!(given_up.is_err());
            assert_eq!(service.get_in(life, None).await, number.to_string());
            assert_eq!(service.get_in(life, None).await, number.to_string());
        }
        let life = Life { generation: 1, ..Life::default() };
        let given_up =
            tokio::time::timeout(Duration::from_millis(50), service.get_in(life, Some(Instant::now()))).await;
        assert!(given_up.is_err());
        assert_eq!(service.get_in(Life { phase: Phase::Frozen, ..life }, None).await, "4");
    }
}
