{{/*
The templates take the manifests in files/, which are copies of those in envoy/, and set in them what the values say. With
the names of envoy/ in the values they render envoy/'s own resources; a test compares the two.
*/}}

{{- define "keygate.host" -}}
policy-service.{{ .Release.Namespace }}.svc.cluster.local
{{- end }}

{{/* A file's documents with the host of this release, one after the other. */}}
{{- define "keygate.file" -}}
{{ .root.Files.Get .file | replace "policy-service.keygate.svc.cluster.local" (include "keygate.host" .root) }}
{{- end }}

{{- define "keygate.labels" -}}
app.kubernetes.io/name: keygate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* Prints a resource with the chart's labels. */}}
{{- define "keygate.print" -}}
{{- $metadata := .document.metadata }}
{{- $_ := set $metadata "labels" (merge (default dict $metadata.labels) (include "keygate.labels" .root | fromYaml)) }}
---
{{ toYaml .document }}
{{ end }}

{{- define "keygate.moduleDigest" -}}
{{ required "module.digest is required: the digest of the module's image, sha256:… (`make package` prints it)" .Values.module.digest | trimPrefix "sha256:" }}
{{- end }}
