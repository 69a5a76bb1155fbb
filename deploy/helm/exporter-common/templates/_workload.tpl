{{/* The parts of the Deployment that are no exporter's own. */}}

{{- define "exporter.deploymentSpec" -}}
replicas: {{ .Values.replicaCount }}
{{- with .Values.revisionHistoryLimit }}
revisionHistoryLimit: {{ . }}
{{- end }}
{{- with .Values.strategy }}
strategy:
  {{- toYaml . | nindent 2 }}
{{- end }}
selector:
  matchLabels:
    {{- include "exporter.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/*
The metadata of the pods. Takes root, and checksums: what is mounted or read at the start, by name. A
pod is replaced when one of them changes.
*/}}
{{- define "exporter.podMetadata" -}}
labels:
  {{- $own := include "exporter.selectorLabels" .root | fromYaml }}
  {{- merge $own .root.Values.podLabels .root.Values.commonLabels | toYaml | nindent 2 }}
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

{{- define "exporter.podSpec" -}}
serviceAccountName: {{ include "exporter.serviceAccountName" . }}
automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" "dnsConfig" }}
{{- with get $.Values $key }}
{{ $key }}:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The exporter's container, without what it is told. Takes root and port. */}}
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
{{- range $key := list "livenessProbe" "readinessProbe" }}
{{- with get $.root.Values $key }}
{{ $key }}:
  {{- include "exporter.probe" (dict "root" $.root "probe" .) | nindent 2 }}
{{- end }}
{{- end }}
resources:
  {{- toYaml .root.Values.resources | nindent 2 }}
{{- end -}}

{{/*
A probe. A handler of the user's takes the place of the default one, which Helm has merged it with, and
the scheme is the web config's. A pod whose probes the web config shuts out would never become ready.
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
