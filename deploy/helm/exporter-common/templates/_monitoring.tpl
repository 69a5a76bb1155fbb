{{/* Who scrapes the exporter, and what is made of it. Nothing here asks which APIs the cluster has: a render offline would drop it. */}}

{{/*
How the endpoint is scraped, alike in ServiceMonitor and PodMonitor. Takes root, monitor, its name for
messages, and path.
*/}}
{{- define "exporter.endpoint" -}}
{{- include "exporter.fits" (dict
  "short" .monitor.scrapeTimeout "shortName" (printf "%s.scrapeTimeout" .name)
  "long" .monitor.interval "longName" (printf "%s.interval" .name)) -}}
port: metrics
path: {{ .monitor.telemetryPath | default .path }}
scheme: {{ .monitor.scheme | default (include "exporter.web.scheme" .root) }}
{{- with .monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with .monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .monitor.honorLabels }}
honorLabels: {{ . }}
{{- end }}
{{- range $key := list "tlsConfig" "basicAuth" "relabelings" "metricRelabelings" }}
{{- with get $.monitor $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The rest of their spec. Takes root and monitor. */}}
{{- define "exporter.monitorSpec" -}}
jobLabel: {{ .monitor.jobLabel }}
{{- with .monitor.targetLabels }}
{{ $.targetLabelsKey }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.sampleLimit }}
sampleLimit: {{ . }}
{{- end }}
namespaceSelector:
  matchNames:
    - {{ include "exporter.namespace" .root }}
selector:
  matchLabels:
    {{- include "exporter.selectorLabels" .root | nindent 4 }}
{{- end -}}

{{/* Takes root and path, that of the metrics. */}}
{{- define "exporter.serviceMonitor" -}}
{{- with .root.Values.serviceMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "exporter.metadata" (dict "root" $.root "namespace" .namespace "labels" .additionalLabels) | nindent 2 }}
spec:
  {{- include "exporter.monitorSpec" (dict "root" $.root "monitor" . "targetLabelsKey" "targetLabels") | nindent 2 }}
  endpoints:
    - {{ include "exporter.endpoint" (dict "root" $.root "monitor" . "name" "serviceMonitor" "path" $.path) | nindent 6 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes root and path, that of the metrics. */}}
{{- define "exporter.podMonitor" -}}
{{- with .root.Values.podMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "exporter.metadata" (dict "root" $.root "namespace" .namespace "labels" .additionalLabels) | nindent 2 }}
spec:
  {{- include "exporter.monitorSpec" (dict "root" $.root "monitor" . "targetLabelsKey" "podTargetLabels") | nindent 2 }}
  podMetricsEndpoints:
    - {{ include "exporter.endpoint" (dict "root" $.root "monitor" . "name" "podMonitor" "path" $.path) | nindent 6 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The packaged rules, and beside them the user's own in a group of their own. */}}
{{- define "exporter.prometheusRule" -}}
{{- with .Values.prometheusRule -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  {{- include "exporter.metadata" (dict "root" $ "namespace" .namespace "labels" .additionalLabels) | nindent 2 }}
spec:
  {{- $.Files.Get "files/rules.yaml" | required "files/rules.yaml is missing from the chart" | trim | nindent 2 }}
  {{- with .rules }}
    - name: {{ include "exporter.fullname" $ }}-extra
      rules:
        {{- toYaml . | nindent 8 }}
  {{- end }}
{{- end -}}
{{- end -}}
{{- end -}}
