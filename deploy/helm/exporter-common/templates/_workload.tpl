{{/* The parts of the Deployment that both exporters share. */}}

{{- define "exporter.deploymentSpec" -}}
replicas: {{ .Values.replicaCount }}
{{- if not (kindIs "invalid" .Values.revisionHistoryLimit) }}
revisionHistoryLimit: {{ .Values.revisionHistoryLimit }}
{{- end }}
{{- with include "exporter.strategy" . | fromYaml }}
strategy:
  {{- toYaml . | nindent 2 }}
{{- end }}
selector:
  matchLabels:
    {{- include "exporter.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/* The deployment strategy. A volume must be released by the old pod before the new pod can mount it. */}}
{{- define "exporter.strategy" -}}
{{- $strategy := .Values.strategy | default dict -}}
{{- if .Values.persistence.enabled -}}
{{- if ne ($strategy.type | default "Recreate") "Recreate" -}}
{{- fail "strategy.type must be Recreate where persistence.enabled is true: two pods cannot share the volume" -}}
{{- end -}}
{{- $strategy = dict "type" "Recreate" -}}
{{- end -}}
{{- toYaml $strategy -}}
{{- end -}}

{{/*
The metadata of the pods. Takes root, and checksums: the contents that are mounted or read at the start, by name. A
change of one of them replaces the pod.
*/}}
{{- define "exporter.podMetadata" -}}
labels:
  {{- include "exporter.podLabels" .root | nindent 2 }}
{{- $annotations := deepCopy .root.Values.podAnnotations }}
{{- range $name, $text := .checksums }}
{{- with $text }}
{{- $_ := set $annotations (printf "checksum/%s" $name) (sha256sum $text) }}
{{- end }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Takes root, and affinity if the chart extends the user's affinity. */}}
{{- define "exporter.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "exporter.serviceAccountName" .root }}
automountServiceAccountToken: {{ $values.serviceAccount.automountServiceAccountToken }}
enableServiceLinks: false
{{- with include "exporter.imagePullSecrets" .root }}
{{ . }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $values $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- $affinity := dict "affinity" (.affinity | default $values.affinity) }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" "dnsConfig" }}
{{- with get $affinity $key | default (get $values $key) }}
{{ $key }}:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- end }}
{{- with $values.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The exporter's container, without arguments and environment. Takes root, port, and ports: a list of the ports besides the metrics port. */}}
{{- define "exporter.container" -}}
name: {{ .root.Chart.Name }}
image: {{ include "exporter.image" (dict "root" .root "image" .root.Values.image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
ports:
  - name: metrics
    containerPort: {{ .port }}
    protocol: TCP
  {{- with .ports }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- range $key := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with get $.root.Values $key }}
{{ $key }}:
  {{- include "exporter.probe" (dict "root" $.root "probe" .) | nindent 2 }}
{{- end }}
{{- end }}
resources:
  {{- toYaml .root.Values.resources | nindent 2 }}
{{- end -}}

{{/*
A probe. A handler of the user replaces the default handler, which Helm has merged with it. The scheme is that of the
web configuration. Fails if the web configuration would reject the probe, because the pod would never become ready.
*/}}
{{- define "exporter.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- $web := include "exporter.web.file" .root | fromYaml -}}
{{- if or $probe.tcpSocket $probe.exec $probe.grpc -}}
{{- $probe = omit $probe "httpGet" -}}
{{- else if hasPrefix "Require" (dig "tls_server_config" "client_auth_type" "" $web) -}}
{{- fail "webConfig.content asks clients for a certificate and kubelet has none: give livenessProbe and readinessProbe a tcpSocket" -}}
{{- else if and $web.basic_auth_users (not .root.Values.webConfig.openProbes) (not $probe.httpGet.httpHeaders) -}}
{{- fail "webConfig.content asks for a password and kubelet has none: set webConfig.openProbes, or give livenessProbe and readinessProbe httpHeaders or a tcpSocket" -}}
{{- else if eq (include "exporter.web.scheme" .root) "https" -}}
{{- $probe = merge $probe (dict "httpGet" (dict "scheme" "HTTPS")) -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}
