//! What is printed reads back the same, in both forms.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::{
    desired::{Domain, SelectorKey, Tls, Unplaced},
    diagnostic::{Located, Location},
    file::{ClusterFile, Limits, Unread, convert, format_kdl, print, tree::Form, written::*},
    placement::Objective,
    quantity::{Cpu, Period},
};

/// Reads a printed file; the names of files in it are not part of what it says.
fn back(name: &str, text: &str) -> String {
    let (mut file, found) = load(name, &files(name, text));
    let errors: Vec<Diagnostic> =
        found.into_iter().filter(|found| found.code != "DN-E0113").collect();
    assert_eq!(shown(&errors), "", "{text}");
    bare(&mut file)
}

fn bare(file: &mut ClusterFile) -> String {
    file.sources.clear();
    file.broken = false;
    file.unread = Unread::default();
    file.more_catalogs = false;
    for service in &mut file.services {
        service.files.iter_mut().for_each(|entry| entry.source_text = None);
        match &mut service.form {
            Some(FormSection::Compose(section)) => section.sources = None,
            Some(FormSection::Kubernetes(section)) => section.sources = None,
            _ => {}
        }
    }
    without_places(&format!("{file:#?}"))
}

#[test]
fn the_full_example_reads_back_in_both_forms() {
    let (mut file, _) = load("c.kdl", &files("c.kdl", FULL_KDL));
    let (kdl, yaml) = (print(&file, Form::Kdl), print(&file, Form::Yaml));
    let original = bare(&mut file);
    assert_eq!(back("c.kdl", &kdl), original, "{kdl}");
    assert_eq!(back("c.yaml", &yaml), original, "{yaml}");
}

/// The text of a file that is valid by itself, in the other form.
fn converted(text: &str, from: Form, to: Form) -> String {
    let converted = convert("c", text.into(), from, to, &Limits::default())
        .unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    converted.text
}

#[test]
fn what_is_converted_means_the_same() {
    let means = |name: &str, text: &str| {
        let (state, found) = read(name, text);
        assert!(!found.iter().any(Diagnostic::is_error), "{}", shown(&found));
        without_places(&format!("{:#?}", state.expect("it is valid")))
    };
    let yaml = converted(FULL_KDL, Form::Kdl, Form::Yaml);
    assert_eq!(means("c.kdl", FULL_KDL), means("c.yaml", &yaml), "{yaml}");
    let kdl = converted(FULL_YAML, Form::Yaml, Form::Kdl);
    assert_eq!(means("c.yaml", FULL_YAML), means("c.kdl", &kdl), "{kdl}");
}

#[test]
fn what_is_converted_is_what_a_person_would_write() {
    let kdl = "cluster lab { include \"parts/*.kdl\"; vars { motd \"Hello,\\n\\n  you.\\n\"; }; }\n\
               service a {\n image \"ghcr.io/x/a:1.2\"\n depends-on b\n protect\n \
               env A=\"no\" B=\"1.50\" C=\"x: y\"\n port 80 host=81\n \
               file \"/x\" content=\"a\\nb\"\n health http=\"/\" interval=\"5s\"\n}\n";
    let yaml = converted(kdl, Form::Kdl, Form::Yaml);
    expect![[r#"
        cluster:
          name: lab
          include: ["parts/*.kdl"]
          vars:
            motd: |
              Hello,

                you.
        services:
          a:
            image: ghcr.io/x/a:1.2
            env:
              A: "no"
              B: "1.50"
              C: "x: y"
            ports:
            - {container: 80, host: 81}
            files:
              "/x":
                content: |-
                  a
                  b
            depends-on: [b]
            health: {http: /, interval: 5s}
            protect: true
    "#]]
    .assert_eq(&yaml);
    expect![[r#"
        cluster "lab" {
            include "parts/*.kdl"
            vars {
                motd """
                    Hello,

                      you.

                    """
            }
        }

        service "a" {
            image "ghcr.io/x/a:1.2"
            env {
                A "no"
                B "1.50"
                C "x: y"
            }
            port 80 host=81
            file "/x" content="""
                a
                b
                """
            depends-on "b"
            health http="/" interval="5s"
            protect
        }
    "#]]
    .assert_eq(&converted(&yaml, Form::Yaml, Form::Kdl));
}

#[test]
fn comments_that_are_lost_are_noticed() {
    let lost = |text: &str, from, to| {
        convert("c", text.into(), from, to, &Limits::default()).expect("it is valid").comments
    };
    for (text, comments) in [
        ("cluster c // why\n", true),
        ("/* why */ cluster c\n", true),
        ("cluster c\n/-node n\n", true),
        ("cluster \"// no\"\n", false),
        ("cluster c \\ // why\n {}\n", true),
    ] {
        assert_eq!(lost(text, Form::Kdl, Form::Yaml), comments, "{text}");
    }
    for (text, comments) in
        [("cluster: c # why\n", true), ("# why\ncluster: c\n", true), ("cluster: 'a # b'\n", false)]
    {
        assert_eq!(lost(text, Form::Yaml, Form::Kdl), comments, "{text}");
    }
}

fn at<T>(value: T) -> Located<T> {
    Located { value, at: Location { file: "f".into(), line: 1, column: 1, start: 0, end: 0 } }
}

fn here() -> Location {
    at(()).at
}

/// Some texts are names, some hold everything that needs quoting.
fn text() -> BoxedStrategy<Located<String>> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}",
        Just("null".to_owned()),
        Just("no".to_owned()),
        Just("3.10".to_owned()),
        Just(String::new()),
        prop::sample::select(vec![
            "a\nb\n",
            "a\n\n  b",
            " a\nb",
            "a\n \nb",
            "a\n\n",
            "\n",
            "#x\n- y: z",
            "\"\"\"\n\\\n",
            "x:1",
            "x:",
            ":x",
            "a: b",
            "a #b",
            "/x",
            "-",
            "~",
            "1e3",
            "0x1",
            "a\n\tb\n",
            "Null",
            "a\n\u{a0}\nb",
            "\ta\nb",
            "a \nb ",
        ])
        .prop_map(str::to_owned),
        Just("a\"b\\c\n\t\r#{{ x }} \u{202e}\u{feff}\u{1}é".to_owned()),
        any::<String>(),
    ]
    .prop_map(at)
    .boxed()
}

fn maybe<T: std::fmt::Debug + Clone + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Maybe<T>> {
    prop::option::of(strategy.prop_map(at)).boxed()
}

fn maybe_text() -> BoxedStrategy<Maybe<String>> {
    prop::option::of(text()).boxed()
}

fn list() -> BoxedStrategy<Vec<Located<String>>> {
    prop::collection::vec(text(), 0..3).boxed()
}

/// Pairs with different names that are not empty.
fn pairs() -> BoxedStrategy<Vec<Pair>> {
    let map = prop::collection::btree_map("[^\u{0}]{1,6}", text(), 0..3);
    map.prop_map(|map| map.into_iter().map(|(name, value)| (at(name), value)).collect()).boxed()
}

fn period() -> BoxedStrategy<Maybe<Period>> {
    maybe((0u64..10_000_000).prop_map(|millis| Period { millis }))
}

fn size() -> BoxedStrategy<Maybe<Bytes>> {
    maybe((0u64..1 << 50).prop_map(Bytes))
}

fn resources(gpus: bool) -> BoxedStrategy<Option<ResourcesSection>> {
    let share = prop_oneof![1u32..1000, (1u32..=64).prop_map(|n| n * 1000)];
    let cpu = maybe((0u64..100_000).prop_map(|milli| Cpu { milli }));
    let gpu = maybe(share.prop_map(|milli| GpuAmount { milli }));
    let section =
        (cpu, size(), size(), gpu, size()).prop_map(move |(cpu, memory, disk, gpu, gpu_memory)| {
            ResourcesSection {
                at: here(),
                cpu,
                memory,
                disk,
                gpu: gpu.filter(|_| gpus),
                gpu_memory: gpu_memory.filter(|_| gpus),
            }
        });
    prop::option::of(section).boxed()
}

fn cluster() -> BoxedStrategy<ClusterSection> {
    let sync = (maybe(any::<bool>()), maybe(any::<bool>()), maybe(any::<bool>()), period());
    let sync = prop::option::of(sync.prop_map(|(auto, prune, self_heal, interval)| SyncSection {
        at: here(),
        auto,
        prune,
        self_heal,
        interval,
    }));
    let objective = prop_oneof![Just(Objective::Balance), Just(Objective::Pack)];
    let unplaced = prop_oneof![Just(Unplaced::Wait), Just(Unplaced::Error)];
    let words = (maybe(objective), maybe(unplaced), period());
    (text(), list(), sync, pairs(), resources(true), words)
        .prop_map(|(name, catalog, sync, vars, defaults, words)| ClusterSection {
            at: here(),
            name: Some(name),
            catalog,
            include: Vec::new(),
            sync,
            vars,
            defaults,
            placement: words.0,
            unplaced: words.1,
            lost_after: words.2,
        })
        .boxed()
}

fn capacity() -> BoxedStrategy<Option<CapacitySection>> {
    (resources(false), maybe(0u32..64))
        .prop_map(|(sizes, gpus)| {
            sizes.map(|it| CapacitySection {
                at: it.at,
                cpu: it.cpu,
                memory: it.memory,
                disk: it.disk,
                gpus,
            })
        })
        .boxed()
}

fn node(name: &str) -> BoxedStrategy<NodeSection> {
    let name = at(name.to_owned());
    let flags = (maybe(any::<bool>()), maybe(any::<bool>()));
    (list(), maybe_text(), resources(false), capacity(), flags)
        .prop_map(move |(tags, zone, reserve, capacity, (cordon, drain))| NodeSection {
            at: here(),
            name: name.clone(),
            tags,
            zone,
            reserve,
            capacity,
            cordon,
            drain,
        })
        .boxed()
}

fn form() -> BoxedStrategy<Option<FormSection>> {
    prop_oneof![
        (text(), maybe_text()).prop_map(|(name, version)| FormSection::Component { name, version }),
        text().prop_map(FormSection::Image),
        prop::collection::vec(text(), 1..4).prop_map(FormSection::Process),
        ("[a-z]{1,8}/[a-z]{1,8}[.]yml", list()).prop_map(|(file, profiles)| {
            FormSection::Compose(ComposeSection { file: at(file), profiles, sources: None })
        }),
        ("[a-z]{1,8}", maybe_text(), prop::collection::vec("[a-z]{1,4}".prop_map(at), 0..3))
            .prop_map(|(path, namespace, values)| {
                let (path, sources) = (at(path), None);
                FormSection::Kubernetes(KubernetesSection { path, namespace, values, sources })
            }),
    ]
    .prop_map(Some)
    .boxed()
}

fn ports() -> BoxedStrategy<Vec<PortSection>> {
    let scope = prop_oneof![Just(Scope::Node), Just(Scope::Internal), Just(Scope::Public)];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let port = (1u16.., maybe(1u16..), maybe_text(), maybe(scope), maybe(protocol)).prop_map(
        |(container, host, name, scope, protocol)| PortSection {
            at: here(),
            container: Some(at(container)),
            host,
            name,
            scope,
            protocol,
        },
    );
    prop::collection::vec(port, 0..3).boxed()
}

fn file_sections() -> BoxedStrategy<Vec<FileSection>> {
    let body = (any::<bool>(), text(), maybe(0u32..=0o777));
    prop::collection::btree_map("[^\u{0}]{1,6}", body, 0..3)
        .prop_map(|map| {
            map.into_iter()
                .map(|(path, (inline, text, mode))| FileSection {
                    path: at(path),
                    content: inline.then(|| text.clone()),
                    source: (!inline).then(|| at("none.txt".to_owned())),
                    source_text: None,
                    mode,
                })
                .collect()
        })
        .boxed()
}

fn selectors(weighed: bool) -> BoxedStrategy<Vec<SelectorSection>> {
    let keys = prop::sample::select(vec![
        SelectorKey::Tag,
        SelectorKey::Zone,
        SelectorKey::Os,
        SelectorKey::Arch,
        SelectorKey::GpuModel,
        SelectorKey::Node,
    ]);
    let selector = (keys, prop::collection::vec(text(), 1..3), maybe(1u32..=1000)).prop_map(
        move |(key, any_of, weight)| SelectorSection {
            at: here(),
            key,
            any_of,
            weight: weight.filter(|_| weighed),
        },
    );
    prop::collection::vec(selector, 0..3).boxed()
}

fn place() -> BoxedStrategy<Option<PlaceSection>> {
    let by = prop_oneof![Just(Domain::Node), Just(Domain::Zone)];
    let spread = (by, maybe(1u32..=10_000)).prop_map(|(by, max_skew)| SpreadSection {
        at: here(),
        by: Some(at(by)),
        max_skew,
    });
    let spread = prop::collection::vec(spread, 0..2);
    let selectors = (selectors(false), selectors(false), selectors(true));
    let section = (selectors, maybe_text(), spread, maybe(1u32..=10_000), list(), list()).prop_map(
        |((require, forbid, prefer), pin, spread, max_per_node, apart_from, near)| PlaceSection {
            at: here(),
            require,
            forbid,
            prefer,
            pin,
            spread,
            max_per_node,
            apart_from,
            near,
        },
    );
    prop::option::of(section).boxed()
}

fn health() -> BoxedStrategy<Option<HealthSection>> {
    let times = (period(), period(), period(), maybe(1u32..=1000));
    let section = (0u8..3, text(), maybe(1u16..), 1u16.., list(), times).prop_map(
        |(which, path, port, tcp, mut exec, (interval, timeout, start_period, retries))| {
            exec.push(path.clone());
            HealthSection {
                at: here(),
                http: (which == 0).then_some(path),
                port: port.filter(|_| which == 0),
                tcp: (which == 1).then(|| at(tcp)),
                exec: if which == 2 { exec } else { Vec::new() },
                interval,
                timeout,
                retries,
                start_period,
            }
        },
    );
    prop::option::of(section).boxed()
}

fn rest() -> BoxedStrategy<(Option<StopSection>, Option<UpdateSection>)> {
    let stop = (maybe_text(), period()).prop_map(|(signal, grace)| StopSection {
        at: here(),
        signal,
        grace,
    });
    let order = prop_oneof![Just(Order::StartFirst), Just(Order::StopFirst)];
    let update = (maybe(order), maybe(1u32..=10_000), maybe(any::<bool>()), period()).prop_map(
        |(order, max_unavailable, rollback, timeout)| UpdateSection {
            at: here(),
            order,
            max_unavailable,
            rollback,
            timeout,
        },
    );
    (prop::option::of(stop), prop::option::of(update)).boxed()
}

fn models() -> BoxedStrategy<Vec<ModelSection>> {
    let model = (text(), maybe(1u32..=10_000_000), maybe(1u32..=1024));
    let model = model.prop_map(|(name, context, parallel)| ModelSection {
        at: here(),
        name: Some(name),
        context,
        parallel,
    });
    prop::collection::vec(model, 0..3).boxed()
}

fn allow() -> BoxedStrategy<Vec<AllowSection>> {
    let line = (text(), list()).prop_map(|(grant, to)| AllowSection {
        at: here(),
        grant: Some(grant),
        to,
    });
    prop::collection::vec(line, 0..3).boxed()
}

/// Zero instances stand for one on each node, which is written as a word.
fn counted(number: Located<u32>) -> Located<Count> {
    let value = match number.value {
        0 => Count::PerNode,
        more => Count::Number(more),
    };
    Located { value, at: number.at }
}

fn exposes() -> BoxedStrategy<Vec<ExposeSection>> {
    let tls = maybe(prop_oneof![Just(Tls::Off), Just(Tls::Letsencrypt)]);
    let line = (text(), maybe_text(), maybe_text(), tls);
    let line = line.prop_map(|(host, path, port, tls)| ExposeSection {
        at: here(),
        host: Some(host),
        path,
        port,
        tls,
    });
    prop::collection::vec(line, 0..3).boxed()
}

fn service(name: &str) -> BoxedStrategy<ServiceSection> {
    let name = at(name.to_owned());
    let runtime = maybe(prop_oneof![
        Just(Runtime::Docker),
        Just(Runtime::Process),
        Just(Runtime::Kubernetes)
    ]);
    let schedule =
        prop::option::of((text(), maybe_text()).prop_map(|(cron, timezone)| ScheduleSection {
            at: here(),
            cron: Some(cron),
            timezone,
        }));
    let flags = (maybe(any::<bool>()), maybe(any::<bool>()), schedule);
    let numbers = (maybe(0u32..=1000), maybe(0u8..=100), flags, runtime);
    let texts = (pairs(), pairs(), pairs(), pairs(), list(), list(), list());
    let parts = (form(), ports(), file_sections(), resources(true), place(), health(), rest());
    (texts, numbers, parts, (models(), allow(), exposes()))
        .prop_map(move |(texts, numbers, parts, (models, allow, exposes))| ServiceSection {
            models,
            allow,
            exposes,
            at: here(),
            name: name.clone(),
            set: texts.0,
            secrets: texts.1,
            env: texts.2,
            volumes: texts.3,
            command: texts.4,
            depends_on: texts.5,
            leave_data: texts.6,
            replicas: numbers.0.map(counted),
            priority: numbers.1,
            protect: numbers.2.0,
            run_once: numbers.2.1,
            schedule: numbers.2.2,
            runtime: numbers.3,
            form: parts.0,
            ports: parts.1,
            files: parts.2,
            resources: parts.3,
            place: parts.4,
            health: parts.5,
            stop: parts.6.0,
            update: parts.6.1,
        })
        .boxed()
}

fn cluster_file() -> BoxedStrategy<ClusterFile> {
    let moved = (text(), text()).prop_map(|(from, to)| MovedSection {
        at: here(),
        from: Some(from),
        to: Some(to),
    });
    (cluster(), node("n 1"), service("s\"1"), service("true"), prop::collection::vec(moved, 0..2))
        .prop_map(|(cluster, node, one, two, moved)| ClusterFile {
            broken: false,
            unread: Unread::default(),
            more_catalogs: false,
            limits: Limits::default(),
            doubtful: Vec::new(),
            sources: Vec::new(),
            cluster: Some(cluster),
            nodes: vec![node],
            services: vec![one, two],
            moved,
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_printed_reads_back_the_same(mut file in cluster_file()) {
        let (kdl, yaml) = (print(&file, Form::Kdl), print(&file, Form::Yaml));
        let original = bare(&mut file);
        prop_assert_eq!(back("c.kdl", &kdl), original.clone(), "{}", kdl);
        prop_assert_eq!(back("c.yaml", &yaml), original, "{}", yaml);
        let limits = Limits::default();
        let formatted = format_kdl("c.kdl", kdl.clone().into_bytes(), &limits);
        prop_assert_eq!(&formatted.expect("it is KDL"), &kdl, "what is printed is formatted");
        let there = convert("c.kdl", kdl.clone().into_bytes(), Form::Kdl, Form::Yaml, &limits);
        prop_assert_eq!(&there.expect("it is valid").text, &yaml);
        let again = convert("c.yaml", yaml.into_bytes(), Form::Yaml, Form::Kdl, &limits);
        prop_assert_eq!(again.expect("it is valid").text, kdl);
    }
}
