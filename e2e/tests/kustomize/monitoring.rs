//! Metrics, alerts and the dashboard: about metrics that there are, of pods that there are.

use crate::{parts::site, pod::assert_has_port};
use e2e::{
    cluster::workspace,
    files::files_below,
    namespace::{run, script},
    stack::list,
};
use regex::Regex;
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};

/// Components, each with an overlay that it belongs to.
const COMPONENTS: [(&str, &str); 3] = [
    ("monitoring", "production"),
    ("monitoring-hosts", "hosts"),
    ("monitoring-metalman", "metalman"),
];

/// Labels that Prometheus adds to those of a pod.
const ADDED: [&str; 4] = ["job", "namespace", "pod", "unbounded_cloud_io_site"];

/// What else an expression may consist of: the words of PromQL, the metric of Prometheus itself, and a variable of Grafana.
const WORDS: [&str; 13] = [
    "sum", "max", "by", "without", "rate", "increase", "absent", "or", "and", "unless", "offset",
    "up", "time",
];
const INTERVAL: &str = "$__rate_interval";

#[test]
fn every_metric_and_label_of_alerts_and_dashboard_is_one_that_a_binary_exports() {
    let sources = text_of("operators", "rs") + &text_of("crds/src", "rs");
    let labels = labels(&sources);
    let reference = text_of("docs/reference", "md");
    let (text, token) = (Regex::new(r#""[^"]*""#).unwrap(), Regex::new(r"\b[a-z_]\w*").unwrap());
    let expressions: Vec<_> = COMPONENTS.iter().flat_map(|(it, _)| queries(it)).collect();
    assert!(expressions.len() > 50, "{}", expressions.len());
    let mut wrong = BTreeSet::new();
    for expression in &expressions {
        let plain = text.replace_all(expression, "").replace(INTERVAL, "");
        for word in token.find_iter(&plain).map(|it| it.as_str()) {
            let is_known = WORDS.contains(&word)
                || ADDED.contains(&word)
                || labels.contains(word)
                || reference.contains(&format!("| `{word}` |"));
            if !is_known {
                wrong.insert(format!("{word}: {expression}"));
            }
        }
        let missing = values(expression).into_iter().filter(|it| !has_word(&sources, it));
        wrong.extend(missing.map(|value| format!("{value}: {expression}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn alerts_are_raised_when_they_should_be_and_not_while_all_is_well() {
    let promtool = script("e2e/tests/kustomize/promtool.sh").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cases = fs::read_to_string(workspace().join("e2e/tests/kustomize/alerts.yaml")).unwrap();
    for (component, _) in COMPONENTS {
        let rules = rules(component);
        let file = folder.path().join(format!("{component}.json"));
        fs::write(&file, rules["spec"].to_string()).unwrap();
        run(Command::new(&promtool).args(["check", "rules", "--lint-fatal"]).arg(&file)).unwrap();
        for alert in alerts(&rules) {
            let named = format!("alertname=\"{}\"", alert["alert"].as_str().unwrap());
            assert!(cases.contains(&named), "{named}: no case raises it");
        }
    }
    let file = folder.path().join("alerts.yaml");
    fs::write(&file, cases).unwrap();
    run(Command::new(&promtool).args(["test", "rules"]).arg(&file)).unwrap();
}

#[tokio::test]
async fn each_component_finds_the_pods_of_its_overlay_and_their_ports() {
    for (component, overlay) in COMPONENTS {
        let text =
            format!("resources: [CONFIG/{overlay}]\ncomponents: [CONFIG/{component}]\n{LABELED}");
        let overlay = site(&text, &[]).await;
        let monitor = overlay.of("PodMonitor").next().unwrap();
        let port = &monitor["spec"]["podMetricsEndpoints"][0]["port"];
        let selected = |deployment: &&Value| {
            let label =
                &deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"];
            let selector = &monitor["spec"]["selector"];
            let one = &selector["matchLabels"]["app.kubernetes.io/name"];
            one == label || list(&selector["matchExpressions"][0]["values"]).any(|it| it == label)
        };
        let deployments: Vec<_> = overlay.of("Deployment").filter(selected).collect();
        assert_eq!(deployments.len(), overlay.of("Deployment").count(), "{component}");
        for deployment in deployments {
            assert_has_port(deployment, port);
        }
        for kind in ["PodMonitor", "PrometheusRule"] {
            let metadata = &overlay.of(kind).next().unwrap()["metadata"];
            overlay.named("Namespace", metadata["namespace"].as_str().unwrap()).unwrap();
            assert_eq!(
                metadata["labels"]["release"], "kube-prometheus-stack",
                "{component}: {kind}"
            );
        }
    }
}

/// As docs/monitoring.md shows it.
const LABELED: &str = "\
patches:
  - target: { group: monitoring.coreos.com }
    patch: |-
      - { op: add, path: /metadata/labels/release, value: kube-prometheus-stack }
";

/// The expressions of a component's alerts, and of its dashboard.
fn queries(component: &str) -> Vec<String> {
    let rules = rules(component);
    let alerts = alerts(&rules).into_iter().map(|alert| &alert["expr"]);
    let mut found: Vec<_> = alerts.map(|it| it.as_str().unwrap().to_owned()).collect();
    let dashboard = workspace().join(format!("config/{component}/dashboard.json"));
    if let Ok(text) = fs::read_to_string(dashboard) {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for target in list(&dashboard["panels"]).flat_map(|panel| list(&panel["targets"])) {
            let legend = target["legendFormat"].as_str().unwrap();
            let labels = legend.split("{{").skip(1).filter_map(|it| Some(it.split_once("}}")?.0));
            found.extend(labels.map(str::to_owned));
            found.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    found
}

fn rules(component: &str) -> Value {
    let path = workspace().join(format!("config/{component}/rules.yaml"));
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn alerts(rules: &Value) -> Vec<&Value> {
    list(&rules["spec"]["groups"]).flat_map(|group| list(&group["rules"])).collect()
}

/// The labels of all metrics, as the sources of the binaries name them.
fn labels(sources: &str) -> BTreeSet<String> {
    let set = r"(?s)EncodeLabelSet\)\]\s+(?:pub(?:\(\w+\))? )?struct \w+ \{(.*?)\n\}";
    let field = r"(?m)^ +(?:pub(?:\(\w+\))? )?(?:r#)?(\w+): ";
    let (set, field) = (Regex::new(set).unwrap(), Regex::new(field).unwrap());
    let fields = set.captures_iter(sources).flat_map(|it| {
        let fields = field.captures_iter(it.get(1).unwrap().as_str());
        fields.map(|it| it[1].to_owned()).collect::<Vec<_>>()
    });
    // Those without a type of their own.
    let other = Regex::new(r#"(?:gauges\(&mut encoder, \w+, |let code = \()"(\w+)""#).unwrap();
    let others = other.captures_iter(sources).map(|it| it[1].to_owned());
    fields.chain(others).collect()
}

/// The values that an expression compares labels with.
fn values(expression: &str) -> Vec<&str> {
    let text = Regex::new(r#"[=~]"([^"]*)""#).unwrap();
    let texts = text.captures_iter(expression).map(|it| it.get(1).unwrap().as_str());
    let is_plain = |it: &&str| !it.is_empty() && it.chars().all(char::is_alphanumeric);
    texts.flat_map(|it| it.split('|')).filter(is_plain).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    Regex::new(&format!(r"\b{word}\b")).unwrap().is_match(text)
}

/// The files below a folder with this extension, one after the other.
fn text_of(folder: &str, extension: &str) -> String {
    let mut files = files_below(&workspace().join(folder)).unwrap();
    files.retain(|path| path.extension().is_some_and(|it| it == extension));
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}
