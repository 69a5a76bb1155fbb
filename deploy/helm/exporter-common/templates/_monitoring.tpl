{{/* Who scrapes the exporter. Nothing here asks which APIs the cluster has: a render offline would drop it. */}}

{{/*
What every target of the release carries, so that releases in one namespace can be told apart: the label
app_kubernetes_io_instance, the release's name.
*/}}
{{- define "exporter.releaseLabel" -}}
app.kubernetes.io/instance
{{- end -}}

{{/*
Relabelings of the chart's own. Where counters outlive their pod, the series must too: they lose the pod's name,
and their instance is the release.
*/}}
{{- define "exporter.stableInstance" -}}
- action: labeldrop
  regex: pod
- action: replace
  targetLabel: instance
  replacement: {{ .Release.Name }}
{{- end -}}

{{/*
How the endpoint is scraped, alike in ServiceMonitor and PodMonitor. Takes root, monitor, its name for
messages, path and stableInstance.
*/}}
{{- define "exporter.endpoint" -}}
{{- include "exporter.fits" (dict
  "short" .monitor.scrapeTimeout "shortName" (printf "%s.scrapeTimeout" .name)
  "long" .monitor.interval "longName" (printf "%s.interval" .name)) -}}
{{- $endpoint := dict
  "port" "metrics"
  "path" (.monitor.telemetryPath | default .path)
  "scheme" (.monitor.scheme | default (include "exporter.web.scheme" .root)) -}}
{{- range $key := list "interval" "scrapeTimeout" "honorLabels" "tlsConfig" "basicAuth" "authorization" "oauth2" "params" "proxyUrl" "metricRelabelings" -}}
{{- with get $.monitor $key }}{{ $_ := set $endpoint $key . }}{{ end -}}
{{- end -}}
{{- /* For these, false is not the default. */ -}}
{{- range $key := list "honorTimestamps" "trackTimestampsStaleness" "followRedirects" "enableHttp2" -}}
{{- if kindIs "bool" (get $.monitor $key) }}{{ $_ := set $endpoint $key (get $.monitor $key) }}{{ end -}}
{{- end -}}
{{- $relabelings := ternary (include "exporter.stableInstance" .root | fromYamlArray) list (.stableInstance | default false) -}}
{{- with concat $relabelings (.monitor.relabelings | default list) }}{{ $_ := set $endpoint "relabelings" . }}{{ end -}}
{{- range $key, $value := .monitor.endpointAdditionalProperties -}}
{{- $_ := set $endpoint $key $value -}}
{{- end -}}
{{- toYaml $endpoint -}}
{{- end -}}

{{/* The rest of their spec. Takes root, monitor and targetLabelsKey. */}}
{{- define "exporter.monitorSpec" -}}
{{- with .monitor.jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{ .targetLabelsKey }}:
  {{- concat (list (include "exporter.releaseLabel" .)) (.monitor.targetLabels | default list) | uniq | toYaml | nindent 2 }}
{{- range $key := list
  "sampleLimit" "targetLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" "keepDroppedTargets" "bodySizeLimit"
  "scrapeClass" "scrapeProtocols" "fallbackScrapeProtocol" "attachMetadata" }}
{{- with get $.monitor $key }}
{{ $key }}:{{ ternary (toYaml . | nindent 2) (toYaml . | printf " %s") (or (kindIs "map" .) (kindIs "slice" .)) }}
{{- end }}
{{- end }}
namespaceSelector:
  matchNames:
    - {{ include "exporter.namespace" .root }}
selector:
  matchLabels:
    {{- include "exporter.selectorLabels" .root | nindent 4 }}
{{- end -}}

{{/* Takes root, path (that of the metrics) and stableInstance. */}}
{{- define "exporter.serviceMonitor" -}}
{{- with .root.Values.serviceMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "exporter.metadata" (dict "root" $.root "namespace" .namespace "labels" .additionalLabels "annotations" .annotations) | nindent 2 }}
spec:
  {{- include "exporter.monitorSpec" (dict "root" $.root "monitor" . "targetLabelsKey" "targetLabels") | trim | nindent 2 }}
  endpoints:
    - {{ include "exporter.endpoint" (dict "root" $.root "monitor" . "name" "serviceMonitor" "path" $.path "stableInstance" $.stableInstance) | nindent 6 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes root, path (that of the metrics) and stableInstance. */}}
{{- define "exporter.podMonitor" -}}
{{- with .root.Values.podMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "exporter.metadata" (dict "root" $.root "namespace" .namespace "labels" .additionalLabels "annotations" .annotations) | nindent 2 }}
spec:
  {{- include "exporter.monitorSpec" (dict "root" $.root "monitor" . "targetLabelsKey" "podTargetLabels") | trim | nindent 2 }}
  podMetricsEndpoints:
    - {{ include "exporter.endpoint" (dict "root" $.root "monitor" . "name" "podMonitor" "path" $.path "stableInstance" $.stableInstance) | nindent 6 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}
