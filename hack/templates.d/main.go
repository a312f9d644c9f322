// What Go's text/template and encoding/json make of a Machine, for the tests of
// operators/machine/src/provisioning/template.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type operations struct {
	RebootCounter int64 `json:"rebootCounter,omitempty"`
	RepaveCounter int64 `json:"repaveCounter,omitempty"`
}

type lease struct {
	IPv4       string   `json:"ipv4"`
	MAC        string   `json:"mac"`
	SubnetMask string   `json:"subnetMask"`
	Gateway    string   `json:"gateway"`
	DNS        []string `json:"dns,omitempty"`
}

type redfish struct {
	URL string `json:"url"`
}

type pxe struct {
	Image      string   `json:"image"`
	DHCPLeases []lease  `json:"dhcpLeases"`
	Redfish    *redfish `json:"redfish,omitempty"`
}

type kubernetes struct {
	Version            string            `json:"version,omitempty"`
	NodeLabels         map[string]string `json:"nodeLabels,omitempty"`
	RegisterWithTaints []string          `json:"registerWithTaints,omitempty"`
}

type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

type spec struct {
	PXE        *pxe        `json:"pxe,omitempty"`
	Kubernetes *kubernetes `json:"kubernetes,omitempty"`
	Operations *operations `json:"operations,omitempty"`
}

type status struct {
	Phase      string      `json:"phase,omitempty"`
	Operations *operations `json:"operations,omitempty"`
}

type machine struct {
	metadata `json:"metadata"`
	Spec     spec   `json:"spec"`
	Status   status `json:"status"`
}

type variables struct {
	Machine                                 *machine
	ServeURL, ApiserverURL, AgentConfigJSON string
}

const object = `{
  "apiVersion": "unbounded-cloud.io/v1alpha3", "kind": "Machine",
  "metadata": {"name": "node-01", "labels": {"rack": "a", "zone": "<z>"}},
  "spec": {
    "pxe": {
      "image": "ghcr.io/a/b:1",
      "dhcpLeases": [
        {"ipv4": "10.0.0.11", "mac": "aa:bb:cc:dd:ee:01", "subnetMask": "255.255.255.0", "gateway": "10.0.0.1", "dns": ["1.1.1.1", "9.9.9.9"]},
        {"ipv4": "10.0.1.11", "mac": "aa:bb:cc:dd:ee:02", "subnetMask": "255.255.255.0", "gateway": ""}
      ]
    },
    "kubernetes": {"version": "1.34.1", "nodeLabels": {"b": "2", "a": "<&>"}, "registerWithTaints": ["k=v:NoSchedule"]},
    "operations": {"rebootCounter": 5, "repaveCounter": 3}
  },
  "status": {"phase": "Pending", "operations": {"rebootCounter": 5, "repaveCounter": 2}}
}`

// One line for each case.
var cases = []string{
	`plain text`,
	`{{.ServeURL}} {{ .ApiserverURL }}`,
	`{{.Machine.Name}}/{{.Machine.Namespace}}/`,
	`{{if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter}}chain{{else}}install{{end}}`,
	`{{ if le 2 2 }}a{{ end }}{{ if lt 2 2 }}b{{ end }}{{ if ge 3 2 }}c{{ end }}{{ if gt 2 3 }}d{{ end }}`,
	`ip={{(index .Machine.Spec.PXE.DHCPLeases 0).IPv4}}::{{(index .Machine.Spec.PXE.DHCPLeases 0).Gateway}}:{{(index .Machine.Spec.PXE.DHCPLeases 0).SubnetMask}}::eth0:none`,
	`ip={{(index .Machine.Spec.PXE.DHCPLeases 1).Gateway}}:`,
	`{{with index .Machine.Spec.PXE.DHCPLeases 0}}{{.IPv4}} {{$.Machine.Name}}{{end}}`,
	`{{if .AgentConfigJSON}}yes{{end}}{{if .Machine.Namespace}}no{{end}}`,
	`a {{- /* a comment */ -}} b`,
	`{{- range .Machine.Spec.PXE.DHCPLeases }} {{ .MAC }}={{ len .DNS }}{{ end -}}  x`,
	`{{range $i, $l := .Machine.Spec.PXE.DHCPLeases}}{{if $i}},{{end}}{{$i}}:{{$l.IPv4}}{{end}}`,
	`{{range $k, $v := .Machine.Labels}}{{$k}}={{$v}};{{end}}`,
	`{{range (index .Machine.Spec.PXE.DHCPLeases 1).DNS}}x{{else}}none{{end}}`,
	`{{range .Machine.Spec.PXE.DHCPLeases}}{{if eq .Gateway ""}}{{continue}}{{end}}{{.IPv4}}{{break}}{{end}}`,
	`{{$x := 1}}{{$x = 2}}{{$x}}{{with $y := "z"}}{{$y}}{{end}}`,
	`{{define "t"}}<{{.}}>{{end}}{{template "t" .Machine.Name}}{{template "t" 7}}`,
	`{{block "b" .Machine}}{{.Name}}{{end}}`,
	`{{eq "a" "b" "a"}} {{ne 1 2}} {{and 1 0}} {{or "" "x"}} {{not false}}`,
	`{{and true .Machine.Name}} {{or .Machine.Namespace "none"}}`,
	`{{printf "%s-%03d %q %v %x %5.2f|%-5s|%t" "a" 7 "b" true 255 1.5 "c" false}}`,
	`{{print "a" 1 2 "b" "c"}}|{{println "a" 1}}|`,
	`{{html "<a href='x'>&\"</a>"}} {{urlquery "a b/c?d&é"}} {{js "it's \"<x>\"\n"}}`,
	`{{slice "abcdef" 1 3}} {{len "abc"}} {{len .Machine.Labels}}`,
	`{{index .Machine.Labels "rack"}}|{{index .Machine.Labels "none"}}|{{.Machine.Labels.none}}`,
	`{{.Machine.Name | printf "%s.%s" "x" | len}}`,
	`{{ "quoted \"text\" \u00e9" }} {{ ` + "`raw`" + ` }} {{ 'a' }} {{ 0x10 }} {{ 1_000 }} {{ 1e3 }} {{ -5 }}`,
	"{{ `a\\tb` }}",
	`{{ "a\\" }}b{{ "c" }}`,
	`{{ "\u00e9abcdef12" }} {{ "\x41bc41" }} {{ "\U0001f600 \101\a\n" }}`,
	"{{ \"`\\\\x`\" }}",
	"{{/* `\\ */}}{{ `\\` }}\\`{{ `}}\\` }}",
	"{{ `a\r\n\\` }}",
	`{{ printf "%s\\n\t\"" "a" }}`,
	`{{ "\q" }}`,
	`{{ "\8" }}`,
	`{{ "\400" }}`,
	`{{if .Machine.Spec.PXE.Redfish}}bmc{{else}}none{{end}}`,
	`{{if eq .Machine.Status.Phase "Pending"}}p{{else if eq .Machine.Status.Phase "Ready"}}r{{else}}o{{end}}`,
	`{{index .Machine.Spec.Kubernetes.NodeLabels "a"}} {{index .Machine.Spec.Kubernetes.RegisterWithTaints 0}}`,
	`{{range $i := 3}}{{$i}}{{end}}`,
	"a\n{{- if true }}\n  b\n{{- end }}\nc\n",
	// Errors.
	`{{`,
	`{{.Missing}}`,
	`{{.KubernetesVersion}}`,
	`{{.Machine.Spec.Nothing}}`,
	`{{.Machine.Spec.PXE.Redfish.URL}}`,
	`{{index .Machine.Spec.PXE.DHCPLeases 2}}`,
	`{{if true}}`,
	`{{end}}`,
	`{{nofunction 1}}`,
	`{{template "none"}}`,
	`{{le 1}}`,
	`{{index .Machine.Name "x"}}`,
	`{{slice "abc" 2 9}}`,
	`{{printf}}`,
	`{{.Machine.Name.Length}}`,
	`{{break}}`,
	`{{$undefined}}`,
	// Nothing among the variables is a function.
	`{{call}}`,
	`{{call .Machine.Name}}`,
	`{{call 1 2}}`,
	`{{call printf "a"}}`,
	`{{call .Machine.Spec.PXE.Redfish}}`,
	`{{call .Machine.Spec}}`,
	// Each builtin with arguments that it does not take.
	`{{and}}`,
	`{{or}}`,
	`{{not}}`,
	`{{not 1 2}}`,
	`{{len}}`,
	`{{len 3}}`,
	`{{len nil}}`,
	`{{index}}`,
	`{{index 3 1}}`,
	`{{index .Machine.Spec.PXE.DHCPLeases -1}}`,
	`{{index .Machine.Labels 1}}`,
	`{{slice}}`,
	`{{slice 3}}`,
	`{{slice "abc" 2 1}}`,
	`{{slice "abc" -1}}`,
	`{{slice "abc" 0 1 1}}`,
	`{{slice .Machine.Labels 0}}`,
	`{{eq}}`,
	`{{eq 1}}`,
	`{{eq 1 "a"}}`,
	`{{eq .Machine.Labels .Machine.Labels}}`,
	`{{ne 1}}`,
	`{{ne 1 "a"}}`,
	`{{lt 1}}`,
	`{{lt 1 "a"}}`,
	`{{lt true false}}`,
	`{{le 1 "a"}}`,
	`{{gt 1 "a"}}`,
	`{{gt 1.5 1}}`,
	`{{ge "a" 1}}`,
	`{{printf 3}}`,
	`{{printf "%d" "a"}}|{{printf "%s" 1}}|{{printf "%d"}}|{{printf "a" 1}}|{{printf "%!"}}`,
	`{{print}}|{{println}}|{{html}}|{{js}}|{{urlquery}}|`,
	`{{html 1 "<" true}} {{js 1 "'" true}} {{urlquery 1 " " true}}`,
}

type empty struct{}

type agent struct {
	MachineName string
	Cluster     struct {
		CaCertBase64, ClusterDNS, Version string
	}
	Kubelet struct {
		ApiServer          string
		Auth               empty
		Labels             map[string]string
		RegisterWithTaints []string
	}
	CRI struct {
		Containerd, Runc empty
	}
	CNI      empty
	OCIImage string                `json:",omitempty"`
	Attest   *struct{ URL string } `json:",omitempty"`
}

// The configurations of two Machines: the one above, and one of which only the name is known.
func configurations() []string {
	var full, least agent
	full.MachineName = "node-01"
	full.Cluster.CaCertBase64 = "Q0E="
	full.Cluster.ClusterDNS = "10.96.0.10"
	full.Cluster.Version = "v1.34.1"
	full.Kubelet.ApiServer = "https://api.example:6443/?a=1&b=<2>"
	full.Kubelet.Labels = map[string]string{"b": "2", "a": "<&>", "all": "\u2028\x01\t\"é"}
	full.Kubelet.RegisterWithTaints = []string{"k=v:NoSchedule"}
	full.OCIImage = "ghcr.io/a/agent:1"
	full.Attest = &struct{ URL string }{"http://192.0.2.1:8880"}
	least.MachineName = "node-02"
	least.Cluster.Version = "v1.36.0"
	least.Kubelet.Labels = map[string]string{}
	var all []string
	for _, it := range []agent{full, least} {
		text, err := json.MarshalIndent(it, "    ", "  ")
		if err != nil {
			panic(err)
		}
		all = append(all, string(text))
	}
	return all
}

func main() {
	var it machine
	if err := json.Unmarshal([]byte(object), &it); err != nil {
		panic(err)
	}
	type vector struct {
		Template string  `json:"template"`
		Output   *string `json:"output"`
	}
	var out struct {
		Machine json.RawMessage `json:"machine"`
		Cases   []vector        `json:"templates"`
		Agent   []string        `json:"agent"`
	}
	out.Machine = json.RawMessage(object)
	out.Agent = configurations()
	data := variables{&it, "http://192.0.2.1:8880/c/token", "https://api.example:6443", "{}"}
	for _, text := range cases {
		one := vector{Template: text}
		if parsed, err := template.New("x").Parse(text); err == nil {
			var to strings.Builder
			if parsed.Execute(&to, data) == nil {
				output := to.String()
				one.Output = &output
			}
		}
		out.Cases = append(out.Cases, one)
	}
	to := json.NewEncoder(os.Stdout)
	to.SetIndent("", "  ")
	to.SetEscapeHTML(false)
	if err := to.Encode(out); err != nil {
		panic(err)
	}
}
