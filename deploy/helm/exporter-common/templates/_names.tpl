{{/* The application's name: the label app.kubernetes.io/name, and by it Prometheus' job. */}}
{{- define "exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of every object: the release's, with the application's unless it contains that already. */}}
{{- define "exporter.fullname" -}}
{{- $name := include "exporter.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "exporter.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" (.Values.image.tag | default .Chart.AppVersion | trunc 63)
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge (include "exporter.selectorLabels" . | fromYaml) .Values.commonLabels $labels) -}}
{{- end -}}

{{/*
The metadata of an object. Takes root, and where they differ from the usual: name, namespace, labels,
annotations. What selectors look at cannot be overridden.
*/}}
{{- define "exporter.metadata" -}}
name: {{ .name | default (include "exporter.fullname" .root) }}
namespace: {{ .namespace | default (include "exporter.namespace" .root) }}
labels:
  {{- $labels := include "exporter.labels" .root | fromYaml }}
  {{- merge (include "exporter.selectorLabels" .root | fromYaml) (.labels | default dict) $labels | toYaml | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "exporter.serviceAccountName" -}}
{{- $default := ternary (include "exporter.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end -}}

{{/* The reference of an image. Takes root, image and the default of its tag. */}}
{{- define "exporter.image" -}}
{{- $registry := (.root.Values.global).imageRegistry | default .image.registry -}}
{{- $repository := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ .image.tag | default .tag }}
{{- end -}}
{{- end -}}

{{/* The port of a listen address such as ":9953" or "[::1]:9953". */}}
{{- define "exporter.portOf" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}
