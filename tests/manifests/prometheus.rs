//! Checks that Prometheus finds the policy service in the cluster and may reach it. It runs no Prometheus.

use serde_json::json;

use super::manifests::one;

/// A Prometheus that finds pods by annotations asks for a port that the service has and the NetworkPolicy opens to it.
#[test]
fn prometheus_reaches_the_metrics_of_the_policy_service() {
    let file = "envoy/kubernetes/policy-service.yaml";
    let pod = one(file, "Deployment/policy-service").content["spec"]["template"].clone();
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        (&annotations["prometheus.io/scrape"], &annotations["prometheus.io/path"]),
        (&json!("true"), &json!("/metrics"))
    );
    let ports = pod["spec"]["containers"][0]["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| port["name"] == "http-admin").unwrap();
    assert_eq!(annotations["prometheus.io/port"], port["containerPort"].to_string());
    let network = one(file, "NetworkPolicy/policy-service");
    let opened: Vec<_> = network.content["spec"]["ingress"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "prometheus")
        .collect();
    let [rule] = opened[..] else { panic!("{} rules for Prometheus", opened.len()) };
    assert!(rule["from"][0]["namespaceSelector"].is_object(), "without it only this namespace is meant");
    assert_eq!(rule["ports"], json!([{"port": port["name"]}, {"port": 15020}]));
}
