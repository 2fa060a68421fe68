//! Whether what is written of one service names another: `{{ service.db.address }}`.
//!
//! Knows where templates may stand in a service. Refuses to evaluate them: a name between braces
//! is enough.

use devnet_schema::{
    desired::{Form, Service},
    name::ServiceName,
};

/// Whether a template of `service` asks for the address of `other`.
pub(crate) fn names(service: &Service, other: &ServiceName) -> bool {
    texts(service).into_iter().any(|text| asks(text, other))
}

fn texts(service: &Service) -> Vec<&str> {
    let mut texts: Vec<&str> = service.env.values().map(|text| text.value.as_str()).collect();
    let files = service.files.values().map(|file| &file.value);
    texts.extend(files.filter(|it| it.template).map(|it| it.text.as_str()));
    match &service.form {
        Form::Component { parameters, .. } => {
            texts.extend(parameters.values().map(|text| text.value.as_str()));
        }
        Form::Image { image, command } => {
            texts.push(&image.value);
            let command = command.iter().flatten();
            texts.extend(command.map(|text| text.value.as_str()));
        }
        Form::Process { argv } => texts.extend(argv.iter().map(|text| text.value.as_str())),
        Form::Compose { project: _, networks: _, shares: _, container } => {
            let words = container.entrypoint.iter().chain(&container.command).flatten();
            let single = container.image.iter().chain(&container.user).chain(&container.hostname);
            let all = words.chain(single).chain(container.labels.values());
            texts.extend(all.map(|text| text.value.as_str()));
        }
        Form::Kubernetes(_) => {}
    }
    texts
}

fn asks(text: &str, other: &ServiceName) -> bool {
    let wanted = format!("service.{other}.");
    let inside = text.split("{{").skip(1);
    inside.filter_map(|part| part.split("}}").next()).any(|part| part.contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_templates_ask() {
        let db: ServiceName = "db".parse().unwrap();
        assert!(asks("a {{ service.db.host }} b", &db));
        assert!(asks("{{ var.x }}{{service.db.port}}", &db));
        for other in ["service.db.host", "{{ service.dbx.host }}", "{{ var.x }} service.db.host"] {
            assert!(!asks(other, &db), "{other}");
        }
    }
}
