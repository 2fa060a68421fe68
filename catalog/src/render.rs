//! Desired state and placement to rendered instances, for every form of a service.
//!
//! Knows how the parts of an instance come together. Refuses to decide anything that placement
//! decides, and to know the values of secrets.

use std::collections::BTreeMap;

use crate::{
    Bindings, Catalog, Placed,
    marker::{self, Markers},
    names::{Names, host_port},
    scope::{self, Scope, Secrets},
    unit::{self, Unit},
};
use devnet_schema::{
    component::Components,
    compose::Volume,
    container::{Namespace, SharedNamespace},
    desired::{DesiredState, Form, Manifests, Service},
    diagnostic::Diagnostic,
    digest::Digest,
    instance::{
        FileSpec, InstanceSpec, Limits, PortSpec, Runtime, Scope as Reach, VolumeSpec, Workload,
    },
    name::{InstanceId, ServiceName},
    quantity::{Bytes, Cpu},
    secret::Text,
};

/// Renders every placed instance, sorted by service and index.
///
/// # Errors
/// Everything that is wrong, each finding once: templates that cannot be rendered, and secrets
/// that are referred to and not there.
pub fn render(
    catalog: &Catalog,
    desired: &DesiredState,
    bindings: &Bindings,
) -> Result<Vec<InstanceSpec>, Vec<Diagnostic>> {
    let mut specs = Vec::new();
    let mut found: Vec<Diagnostic> = Vec::new();
    for (_, rendered) in render_each(catalog, desired, bindings) {
        match rendered {
            Ok(spec) => specs.push(spec),
            Err(errors) => found.extend(errors),
        }
    }
    if found.is_empty() {
        return Ok(specs);
    }
    found.sort_by(|a, b| (&a.at, &a.code, &a.message).cmp(&(&b.at, &b.code, &b.message)));
    found.dedup();
    Err(found)
}

/// Renders every placed instance by itself, so that one that cannot be rendered does not hold up
/// the others.
pub fn render_each(
    catalog: &Catalog,
    desired: &DesiredState,
    bindings: &Bindings,
) -> BTreeMap<InstanceId, Result<InstanceSpec, Vec<Diagnostic>>> {
    let names = Names::new(catalog, desired, bindings);
    let reserved: Vec<Diagnostic> = desired
        .vars
        .iter()
        .filter(|(_, value)| marker::is_reserved(value))
        .filter_map(|(name, _)| {
            let at = desired.services.values().next().map(|service| &service.at)?;
            Some(scope::reserved(at, &format!("the variable `{name}`")))
        })
        .collect();
    let mut all = BTreeMap::new();
    for (id, placed) in &bindings.instances {
        let Some(service) = desired.services.get(&id.service) else {
            continue;
        };
        let rendered = if reserved.is_empty() {
            Render { catalog, desired, bindings, names: &names, id, placed, service }.instance()
        } else {
            Err(reserved.clone())
        };
        all.insert(id.clone(), rendered);
    }
    all
}

/// One instance and everything it is made from.
struct Render<'a> {
    catalog: &'a Catalog,
    desired: &'a DesiredState,
    bindings: &'a Bindings,
    names: &'a Names,
    id: &'a InstanceId,
    placed: &'a Placed,
    service: &'a Service,
}

impl Render<'_> {
    fn instance(&self) -> Result<InstanceSpec, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut markers = self.names.markers();
        let secrets = Secrets::OfCluster(self.bindings.secrets.as_ref());
        let names = self.names.of_instance(self.id, self.placed);
        let scope = Scope::new(names, secrets, &self.names.absent);
        let unit = self.unit(&scope, &mut markers).map_err(|errors| found.extend(errors)).ok();
        let env = self.env(&scope, &mut markers, &mut found);
        let files = self.files(&scope, &mut markers, &mut found);
        let ports = self.ports().map_err(|error| found.push(error)).unwrap_or_default();
        let Some(mut unit) = unit.filter(|_| found.is_empty()) else {
            return Err(found);
        };
        unit.env.extend(env);
        unit.files.extend(files);
        let service = self.service;
        Ok(InstanceSpec {
            cluster: self.desired.cluster.clone(),
            id: self.id.clone(),
            node: self.placed.node.clone(),
            workload: unit.workload,
            env: unit.env,
            files: unit.files,
            ports,
            volumes: self.volumes(&unit.volumes),
            limits: self.limits(),
            gpus: self.placed.gpus.clone(),
            health: service.health.clone(),
            stop: service.stop.clone(),
            run_once: service.run_once || service.schedule.is_some(),
            schedule: service.schedule.clone(),
            protect: service.protect.is_some(),
        })
    }

    fn unit(&self, scope: &Scope<'_>, markers: &mut Markers) -> Result<Unit, Vec<Diagnostic>> {
        match &self.service.form {
            Form::Component { name, version, parameters, secrets, grants } => {
                let collects = self.catalog.signature(&name.value);
                let collects = collects.map_or(&[][..], |signature| &signature.collects);
                let instance = (self.id, self.placed);
                let names =
                    self.names.of_component(self.service, self.bindings, instance, collects);
                let used = unit::Used {
                    catalog: self.catalog,
                    service: self.service,
                    name,
                    version,
                    parameters,
                    secrets,
                    grants,
                    versions: self.bindings.secrets.as_ref(),
                };
                unit::of_component(&used, names, scope, markers)
            }
            Form::Image { image, command } => {
                unit::of_image(scope, markers, image, command.as_deref())
            }
            Form::Process { argv } => unit::of_process(scope, markers, argv),
            Form::Compose { project, networks, shares, container } => {
                let unit = unit::of_compose(scope, markers, (project, networks), container)?;
                Ok(self.sharing(unit, shares))
            }
            Form::Kubernetes(manifests) => Err(vec![no_driver(manifests)]),
        }
    }

    /// The unit in the namespaces of others on its node. What those run, whoever has all units
    /// fills in.
    fn sharing(&self, mut unit: Unit, shares: &[(Namespace, ServiceName)]) -> Unit {
        let here = |service: &ServiceName| {
            let all = self.bindings.instances.iter();
            let mut own = all
                .filter(|(id, placed)| id.service == *service && placed.node == self.placed.node);
            own.next().map(|(id, _)| id.clone())
        };
        if let Workload::Container(container) = &mut unit.workload {
            container.shares = shares
                .iter()
                .filter_map(|(namespace, service)| {
                    let (namespace, with) = (*namespace, here(service)?);
                    Some(SharedNamespace { namespace, with, digest: Digest::from(String::new()) })
                })
                .collect();
        }
        unit
    }

    fn env(
        &self,
        scope: &Scope<'_>,
        markers: &mut Markers,
        found: &mut Vec<Diagnostic>,
    ) -> BTreeMap<String, Text> {
        let mut env = BTreeMap::new();
        for (name, value) in &self.service.env {
            match scope.text(markers, &value.value, &value.at) {
                Ok(text) => drop(env.insert(name.clone(), text)),
                Err(error) => found.push(error),
            }
        }
        env
    }

    fn files(
        &self,
        scope: &Scope<'_>,
        markers: &mut Markers,
        found: &mut Vec<Diagnostic>,
    ) -> BTreeMap<String, FileSpec> {
        let mut files = BTreeMap::new();
        for (path, file) in &self.service.files {
            let content = if file.value.template {
                scope.text(markers, &file.value.text, &file.at)
            } else {
                Ok(Text::plain(file.value.text.clone()))
            };
            match content {
                Ok(content) => {
                    files.insert(path.clone(), FileSpec { content, mode: file.value.mode });
                }
                Err(error) => found.push(error),
            }
        }
        files
    }

    fn ports(&self) -> Result<Vec<PortSpec>, Diagnostic> {
        self.service
            .ports
            .iter()
            .map(|port| {
                let host = host_port(self.service, &port.value.name, self.placed);
                let Some(host) = host else {
                    let message = format!(
                        "no port of the node was chosen for port `{}` of {}",
                        port.value.name, self.id
                    );
                    let help = "write `host=`; otherwise placement chooses one";
                    let error = Diagnostic::error("DN-E0511", Some(port.at.clone()), message);
                    return Err(error.help(help));
                };
                let bind = match port.value.scope {
                    Reach::Node => "127.0.0.1".to_owned(),
                    Reach::Internal => self.placed.node_ip.clone(),
                    Reach::Public => "0.0.0.0".to_owned(),
                };
                Ok(PortSpec {
                    name: port.value.name.clone(),
                    container: port.value.container,
                    host,
                    bind,
                    protocol: port.value.protocol,
                })
            })
            .collect()
    }

    /// The service's volumes. Where a template says where a volume of its component is, that counts
    /// (the place may depend on the version), unless the service says something else.
    fn volumes(&self, of_template: &BTreeMap<String, String>) -> Vec<VolumeSpec> {
        if let Form::Compose { project, container, .. } = &self.service.form {
            let all = container.volumes.iter();
            return all.map(|volume| of_project(project, &volume.value)).collect();
        }
        let signature = match &self.service.form {
            Form::Component { name, .. } => self.catalog.signature(&name.value),
            _ => None,
        };
        let declared = |name: &str| {
            let volumes = &signature?.volumes;
            volumes.iter().find(|volume| volume.name == name).map(|volume| &volume.path)
        };
        self.service
            .volumes
            .iter()
            .map(|volume| {
                let (name, path) = (&volume.value.name, &volume.value.path);
                let own = declared(name) != Some(path);
                let path = of_template.get(name).filter(|_| !own).unwrap_or(path);
                VolumeSpec {
                    name: name.clone(),
                    path: path.clone(),
                    data_of: None,
                    project: None,
                    read_only: false,
                }
            })
            .collect()
    }

    /// Memory that was reserved on purpose is also the most that may be used: more would be taken
    /// from neighbours. A component's floor is no such promise. CPU has no limit: what is free goes
    /// to whoever needs it, and a limit would only make the service slower on an idle node.
    fn limits(&self) -> Limits {
        if let Form::Compose { container, .. } = &self.service.form {
            // A Compose file says both, each for itself.
            let most = container.limits;
            return Limits { cpu: most.cpu, memory: most.memory };
        }
        let memory = self.service.resources.memory;
        let floor = match &self.service.form {
            Form::Component { name, .. } => self
                .catalog
                .signature(&name.value)
                .map_or(Bytes::ZERO, |signature| signature.resources.memory),
            _ => Bytes::ZERO,
        };
        let meant = self.service.resources_at.is_some() && memory != floor;
        let memory = if meant { memory } else { Bytes::ZERO };
        let memory = if self.service.runtime == Runtime::Docker { memory } else { Bytes::ZERO };
        Limits { cpu: Cpu::ZERO, memory }
    }
}

/// A volume that all services of a Compose file share on their node.
fn of_project(project: &ServiceName, volume: &Volume) -> VolumeSpec {
    let Volume { name, path, read_only } = volume;
    VolumeSpec {
        name: name.clone(),
        path: path.clone(),
        data_of: None,
        project: Some(project.clone()),
        read_only: *read_only,
    }
}

/// Manifests have a place and nobody who takes them there.
fn no_driver(manifests: &Manifests) -> Diagnostic {
    let shown = manifests.path.value.escape_debug();
    let message =
        format!("`{shown}` cannot be applied: this version of devnet has no driver for Kubernetes");
    let help = "leave the service out, or run it as containers: a component, an `image` or a \
                `compose` file";
    Diagnostic::error("DN-E0512", Some(manifests.path.at.clone()), message).help(help)
}
