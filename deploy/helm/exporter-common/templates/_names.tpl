{{/* The application's name: the label app.kubernetes.io/name, which becomes Prometheus' job. */}}
{{- define "exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of every object: the release's name, followed by the application's name unless it is already included. */}}
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

{{/* A text as the value of a label: at most 63 letters, digits, dots, dashes and underscores, with a letter or digit at both ends. */}}
{{- define "exporter.labelValue" -}}
{{- regexReplaceAll "[^A-Za-z0-9_.-]+" . "_" | trunc 63 | trimAll "_.-" -}}
{{- end -}}

{{/* The version of the image: the tag without its digest. */}}
{{- define "exporter.version" -}}
{{- $tag := regexReplaceAll "(@|^)sha256:.*$" (.Values.image.tag | default "") "" -}}
{{- include "exporter.labelValue" ($tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "exporter.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | include "exporter.labelValue")
  "app.kubernetes.io/version" (include "exporter.version" .)
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (merge (include "exporter.selectorLabels" . | fromYaml) (.Values.commonLabels | default dict) $labels) -}}
{{- end -}}

{{/* Labels of the Service, which a ServiceMonitor reads. */}}
{{- define "exporter.serviceLabels" -}}
{{- $labels := include "exporter.labels" . | fromYaml -}}
{{- toYaml (merge (include "exporter.selectorLabels" . | fromYaml) (.Values.service.labels | default dict) $labels) -}}
{{- end -}}

{{/* Labels of the pods, which a PodMonitor reads. */}}
{{- define "exporter.podLabels" -}}
{{- toYaml (merge (include "exporter.selectorLabels" . | fromYaml) (.Values.podLabels | default dict) (.Values.commonLabels | default dict)) -}}
{{- end -}}

{{/*
The metadata of an object. Takes root, and optionally name, namespace, labels and annotations. Labels used by
selectors cannot be overridden.
*/}}
{{- define "exporter.metadata" -}}
name: {{ .name | default (include "exporter.fullname" .root) }}
namespace: {{ .namespace | default (include "exporter.namespace" .root) }}
labels:
  {{- $labels := include "exporter.labels" .root | fromYaml }}
  {{- merge (include "exporter.selectorLabels" .root | fromYaml) (.labels | default dict) $labels | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "exporter.serviceAccountName" -}}
{{- $default := ternary (include "exporter.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end -}}

{{/*
The reference of an image. Takes root, image and the default tag. The tag may contain a digest (1.2.3@sha256:…) or be
a digest. A plus sign, which is invalid in tags, becomes an underscore, as in Helm's chart tags. If the repository
begins with a host, the registry is not prepended.
*/}}
{{- define "exporter.image" -}}
{{- $host := regexMatch `^([^/]*[.:][^/]*|localhost)/` .image.repository -}}
{{- $registry := (.root.Values.global).imageRegistry | default (ternary "" .image.registry $host) -}}
{{- $repository := ternary (printf "%s/%s" $registry .image.repository) .image.repository (not (empty $registry)) -}}
{{- $tag := .image.tag | default "" -}}
{{- $digest := .image.digest | default (regexFind `sha256:.*$` $tag) -}}
{{- $tag = regexReplaceAll `(@|^)sha256:.*$` $tag "" | replace "+" "_" -}}
{{- if .image.digest -}}
{{ $repository }}@{{ $digest }}
{{- else if $digest -}}
{{ $repository }}{{ with $tag }}:{{ . }}{{ end }}@{{ $digest }}
{{- else -}}
{{ $repository }}:{{ $tag | default (.tag | default "" | replace "+" "_") }}
{{- end -}}
{{- end -}}

{{/* The image pull secrets of the chart and of the umbrella chart, each a name or a map with `name`. */}}
{{- define "exporter.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) (.Values.imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with uniq $secrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The port of a listen address such as ":9953" or "[::1]:9953". */}}
{{- define "exporter.portOf" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}
