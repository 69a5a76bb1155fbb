{{/*
The monitors that scrape the exporter. The templates do not check which APIs the cluster has, because offline
rendering would then omit the monitors.
*/}}

{{/*
The target label app_kubernetes_io_instance with the release's name, which distinguishes releases in one namespace.
*/}}
{{- define "exporter.releaseLabel" -}}
app.kubernetes.io/instance
{{- end -}}

{{/*
Relabelings of the chart. With persistent counters the series must be persistent too: the pod label is removed and the
instance is set to the release.
*/}}
{{- define "exporter.stableInstance" -}}
- action: labeldrop
  regex: pod
- action: replace
  targetLabel: instance
  replacement: {{ .Release.Name }}
{{- end -}}

{{/*
The endpoint of a ServiceMonitor or PodMonitor. Takes root, monitor, its name for messages, path and stableInstance.
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
{{- /* The default of these keys is not false. */ -}}
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

{{/* The other keys of their spec. Takes root, monitor and targetLabelsKey. */}}
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

{{/* Takes root, path (of the metrics) and stableInstance. */}}
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

{{/* Takes root, path (of the metrics) and stableInstance. */}}
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
