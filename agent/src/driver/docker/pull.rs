//! Images: there already, or pulled with progress.
//!
//! Knows references and the engine's pull stream. Refuses to pull what is there.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bollard::{
    errors::Error, models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder,
};
use futures_util::StreamExt;

use super::{
    engine::{self, Engine},
    locks::Locks,
};
use crate::driver::{DriverError, Progress};

/// Between two progress messages.
const SAY_EVERY: Duration = Duration::from_millis(500);

/// Makes sure that the image is there; whether it was pulled. What several units want at the same
/// time is pulled once.
///
/// # Errors
/// When it cannot be pulled; the text names the image and what to do.
pub(super) async fn ensure_image(
    engine: &Engine,
    images: &Locks,
    image: &str,
    progress: &Progress,
) -> Result<bool, DriverError> {
    // Whoever has it already waits for nobody.
    if is_there(engine, image).await? {
        return Ok(false);
    }
    let _making = match images.making_now(image) {
        Some(making) => making,
        None => {
            progress.say(format!("waiting for {image}, which is being pulled for another unit"));
            images.making(image).await
        }
    };
    if is_there(engine, image).await? {
        return Ok(false);
    }
    progress.say(format!("pulling {image}"));
    let options = CreateImageOptionsBuilder::new().from_image(&with_tag(image)).build();
    let mut stream = std::pin::pin!(engine.client.create_image(Some(options), None, None));
    let mut layers = Layers::default();
    let mut said = Instant::now();
    while let Some(info) = stream.next().await {
        layers.take(&info.map_err(|error| cannot_pull(image, &error))?);
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            progress.say(layers.words(image));
        }
    }
    // Podman ends some failed pulls without saying so.
    match engine.client.inspect_image(image).await {
        Ok(_) => Ok(true),
        Err(error) => Err(cannot_pull(image, &error)),
    }
}

async fn is_there(engine: &Engine, image: &str) -> Result<bool, DriverError> {
    match engine.client.inspect_image(image).await {
        Ok(_) => Ok(true),
        Err(error) if engine::is_missing(&error) => Ok(false),
        Err(error) => Err(cannot_pull(image, &error)),
    }
}

fn cannot_pull(image: &str, error: &Error) -> DriverError {
    let reason = engine::words(error);
    let next = engine::pull_advice(&reason);
    DriverError::failed(format!("image {image} cannot be pulled"), reason, next)
}

/// The engine takes a name without a tag for all of its tags.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// How far each layer is.
#[derive(Default)]
struct Layers(BTreeMap<String, (i64, i64)>);

impl Layers {
    fn take(&mut self, info: &CreateImageInfo) {
        let Some(id) = &info.id else { return };
        let downloading = info.status.as_deref() == Some("Downloading");
        if let Some(detail) = info.progress_detail.as_ref().filter(|_| downloading)
            && let (Some(current), Some(total)) = (detail.current, detail.total)
        {
            self.0.insert(id.clone(), (current, total));
        } else if info.status.as_deref() == Some("Download complete")
            && let Some(layer) = self.0.get_mut(id)
        {
            layer.0 = layer.1;
        }
    }

    fn words(&self, image: &str) -> String {
        let sum = self.0.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        let mib = |bytes: i64| bytes >> 20;
        match sum {
            (_, 0) => format!("pulling {image}"),
            (done, all) if done >= all => format!("unpacking {image}, {} MiB", mib(all)),
            (done, all) => format!("pulling {image}, {} of {} MiB", mib(done), mib(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::{super::small::SmallEngine, *};

    #[tokio::test]
    async fn whoever_has_the_image_waits_for_nobody() {
        let small = SmallEngine::new(|_| (200, "{}".to_owned()));
        let images = Locks::default();
        let _pulling = images.making("x:1").await;
        let progress = Progress::new(|message| panic!("nothing is to be said: {message}"));
        let there = ensure_image(&small.engine, &images, "x:1", &progress);
        let there = tokio::time::timeout(Duration::from_secs(10), there).await;
        assert!(!there.expect("it does not wait").unwrap(), "nothing was pulled");
    }

    #[test]
    fn a_name_without_a_tag_means_latest() {
        assert_eq!(with_tag("redis"), "redis:latest");
        assert_eq!(with_tag("host:5000/redis"), "host:5000/redis:latest");
        assert_eq!(with_tag("host:5000/redis:7"), "host:5000/redis:7");
        assert_eq!(with_tag("redis@sha256:00"), "redis@sha256:00");
    }

    #[test]
    fn progress_adds_the_layers_up() {
        let mut layers = Layers::default();
        assert_eq!(layers.words("x:1"), "pulling x:1");
        let mut take = |id: &str, status: &str, current, total| {
            layers.take(&CreateImageInfo {
                id: Some(id.into()),
                status: Some(status.into()),
                progress_detail: Some(ProgressDetail { current, total }),
                ..Default::default()
            });
            layers.words("x:1")
        };
        let mib = |n: i64| Some(n << 20);
        assert_eq!(take("a", "Downloading", mib(10), mib(100)), "pulling x:1, 10 of 100 MiB");
        assert_eq!(take("b", "Downloading", mib(5), mib(20)), "pulling x:1, 15 of 120 MiB");
        assert_eq!(take("a", "Download complete", None, None), "pulling x:1, 105 of 120 MiB");
        assert_eq!(take("b", "Download complete", None, None), "unpacking x:1, 120 MiB");
    }
}
